"""The double and the plugin that services test with, and the logging handler."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Iterator

import pytest

from auditbus.producers import (
    AuditProducer,
    DeliveryFailed,
    InvalidEvent,
    ProducerClosed,
    SettingsError,
    WouldBlock,
)
from auditbus.producers.logging_handler import AuditHandler
from auditbus.producers.testing import RecordingProducer

pytest_plugins = ["pytester"]


def test_it_takes_and_refuses_what_the_real_one_does(audit_events: RecordingProducer) -> None:
    delivery = audit_events.emit_and_wait({"action": "Login"}, account={"id": "acme"})
    called: list[object] = []
    delivery.add_done_callback(called.append)
    delivery.wait(0)
    assert delivery.done
    assert delivery.exception is None
    assert called == [delivery]
    assert audit_events.events[0]["id"] == delivery.id
    assert audit_events.events[0]["description"] == "Signed in"
    with pytest.raises(InvalidEvent):
        audit_events.emit(action="Login", location={})  # type: ignore[call-arg]
    with audit_events.failing(), pytest.raises(DeliveryFailed):
        audit_events.emit(action="Login")
    audit_events.flush()
    audit_events.close()
    with pytest.raises(ProducerClosed):
        audit_events.emit(action="Login")
    audit_events.clear()
    audit_events.assert_nothing_recorded()


def test_it_refuses_in_an_event_loop_what_the_real_one_would_wait_for() -> None:
    audit = RecordingProducer(delivery={"StorageDeleted": "fail_closed"})

    async def main() -> None:
        audit.emit(action="Login")
        with pytest.raises(WouldBlock, match="await emit_async"):
            audit.emit(action="StorageDeleted")
        with pytest.raises(WouldBlock):
            audit.emit(action="Login", delivery="acknowledged")
        with pytest.raises(WouldBlock):
            audit.emit_and_wait(action="Login")
        await audit.emit_async(action="StorageDeleted")

    asyncio.run(main())
    assert [event["action"] for event in audit.events] == ["Login", "StorageDeleted"]
    audit.emit(action="StorageDeleted")  # no event loop here


def test_it_refuses_words_that_the_real_one_does_not_know(audit_events: RecordingProducer) -> None:
    with pytest.raises(SettingsError, match="delivery of Login: 'sure'"):
        RecordingProducer(delivery={"Login": "sure"})  # type: ignore[dict-item]
    with pytest.raises(SettingsError, match="'surely'"):
        audit_events.emit(action="Login", delivery="surely")  # type: ignore[arg-type]


def test_it_has_what_services_call_on_the_real_one() -> None:
    of_processes = {"after_fork_in_child", "at_exit", "metrics"}
    for name, method in inspect.getmembers(AuditProducer, inspect.isfunction):
        if not name.startswith("_") and name not in of_processes:
            given = inspect.signature(getattr(RecordingProducer, name)).parameters
            assert given.keys() >= inspect.signature(method).parameters.keys(), name


def test_assertions(audit_events: RecordingProducer) -> None:
    for number in range(3):
        audit_events.emit(
            action="StorageDeleted",
            actor={"type": "user", "id": "ann"},
            targets=[{"type": "storage", "id": f"s-{number}"}],
        )
    found = audit_events.assert_recorded(
        action="StorageDeleted", actor={"id": "ann"}, targets=[{"id": lambda id_: id_ == "s-1"}]
    )
    assert found["targets"][0]["id"] == "s-1"
    audit_events.assert_recorded(action="StorageDeleted", count=3)
    audit_events.assert_recorded(action="Login", count=0)
    audit_events.assert_nothing_recorded(action="Login")
    for wrong in (
        {"action": "StorageDeleted", "count": 2},
        {"action": "Login"},
        {"targets": []},
        {"targets": [{"id": "s-1"}, {"id": "s-2"}]},
        {"actor": {"id": True}},
        {"schema_version": True},
        {"metadata": {}},
    ):
        with pytest.raises(AssertionError):
            audit_events.assert_recorded(**wrong)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="3 audit events recorded, none expected"):
        audit_events.assert_nothing_recorded()


def test_the_message_shows_the_closest_event(audit_events: RecordingProducer) -> None:
    with pytest.raises(AssertionError, match="no audit event was recorded"):
        audit_events.assert_recorded(action="Login")
    audit_events.emit(action="Logout")
    audit_events.emit(action="Login", actor={"type": "user", "id": "ann", "name": "Ann"})
    with pytest.raises(AssertionError) as failed:
        audit_events.assert_recorded(action="Login", actor={"type": "user", "id": "bob"})
    message = str(failed.value)
    assert "2 recorded: Logout, Login" in message
    assert '-     "id": "bob"' in message
    assert '+     "id": "ann"' in message
    assert "Ann" not in message  # what nobody asked about is not shown
    assert "description" not in message


def test_the_plugin_in_a_services_own_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from auditbus.producers import bind, current

        def work(audit):
            bind(actor={"type": "user", "id": "ann"})
            audit.emit(action="Login")

        def test_one(audit_events):
            work(audit_events)
            audit_events.assert_recorded(action="Login", actor={"id": "ann"})

        def test_starts_empty(audit_events):
            assert current() == {}
            audit_events.assert_nothing_recorded()

        def test_fails(audit_events):
            work(audit_events)
            audit_events.assert_recorded(action="Login", actor={"id": "bob"})
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*no audit event matches (1 recorded: Login)*", '*"id": "bob"*'])
    # The assertion, not its inside, is where the trace ends.
    assert "testing.py" not in result.stdout.str()


@pytest.fixture
def log(audit_events: RecordingProducer) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.audit")
    handler = AuditHandler(audit_events, loggers={"tests.audit.billing": "BillingLogged"})
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(handler)


def test_a_record_that_says_so_is_an_event(
    log: logging.Logger, audit_events: RecordingProducer
) -> None:
    log.info("nothing to see")
    log.info("storage %s deleted", "s-1", extra={"audit": {"action": "StorageDeleted"}})
    try:
        {}["x"]
    except KeyError:
        log.exception(
            "failed, token=abc", extra={"audit": {"action": "Login", "account": {"id": "acme"}}}
        )
    first, second = audit_events.events
    assert first["description"] == "storage s-1 deleted"
    assert "outcome" not in first
    assert second["description"] == "failed, token=[redacted]"
    assert second["outcome"] == "failure"
    assert second["error"] == {"code": "KeyError", "message": "'x'"}
    assert second["account"] == {"id": "acme"}


def test_all_records_of_a_chosen_logger_are_events(
    log: logging.Logger, audit_events: RecordingProducer
) -> None:
    logging.getLogger("tests.audit.billing.invoices").warning("paid")
    logging.getLogger("tests.audit.billings").warning("other")
    (event,) = audit_events.events
    assert (event["action"], event["description"]) == ("BillingLogged", "paid")


def test_nothing_is_raised_and_nothing_recurses(
    log: logging.Logger, audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture
) -> None:
    root = logging.getLogger()
    everything = AuditHandler(audit_events, loggers={"auditbus": "Own", "tests": "Tests"})
    root.addHandler(everything)
    try:
        log.info("x", extra={"audit": {"action": "no spaces"}})
        log.info("x", extra={"audit": "Login"})
        # caplog itself would raise for this one: to the handler alone.
        record = log.makeRecord("tests", 20, "", 1, "%d", ("x",), None, extra={"audit": {}})
        everything.handle(record)
        with audit_events.failing():
            log.info("x", extra={"audit": {"action": "Login"}})
    finally:
        root.removeHandler(everything)
    assert "is lost: action: does not match" in caplog.text
    assert "is lost: audit: extra holds no mapping there" in caplog.text
    assert "is lost: TypeError" in caplog.text
    assert "is lost: no acknowledgement came in time" in caplog.text
    assert not [event for event in audit_events.events if event["action"] == "Own"]


def test_an_emit_that_logs_does_not_come_back(log: logging.Logger) -> None:
    calls: list[str] = []

    class Talkative:
        def emit(self, _event: object = None, **_: object) -> None:
            calls.append("emit")
            log.info("again", extra={"audit": {"action": "Login"}})

    handler = AuditHandler(Talkative())  # type: ignore[arg-type]
    log.addHandler(handler)
    try:
        log.info("x", extra={"audit": {"action": "Login"}})
    finally:
        log.removeHandler(handler)
    assert calls == ["emit"]
