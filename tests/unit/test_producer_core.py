"""What `emit` fills, refuses and promises where no broker answers."""

import contextlib
import logging
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import reduce
from typing import Any

import orjson
import pytest

from auditbus import producers
from auditbus.producers import (
    AuditProducer,
    Delivery,
    DeliveryFailed,
    InvalidEvent,
    ProducerClosed,
    QueueFull,
    RejectCode,
    SettingsError,
)
from auditbus.schemas import Account, Actor, Target, is_uuid7, parse_rfc3339

# Port 9 (discard) of loopback: nobody listens, every connection is refused at once.
NOBODY = "127.0.0.1:9"
USER: dict[str, Any] = {"type": "user", "id": "u-1"}
DEEP: list[Any] = reduce(lambda inner, _: [inner], range(300), [])


@pytest.fixture
def producer() -> Iterator[AuditProducer]:
    """A producer without a broker: what it takes stays in its queue."""
    lonely = AuditProducer(NOBODY, options={"log_level": 0})
    yield lonely
    with contextlib.suppress(DeliveryFailed):
        lonely.close(timeout_s=0)


@pytest.fixture
def sent(
    producer: AuditProducer, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[str, bytes, bytes]]:
    """What would be handed to librdkafka: topic, value, key."""
    taken: list[tuple[str, bytes, bytes]] = []

    outbox = producer._outbox
    assert outbox is not None

    def admit(delivery: Delivery, value: bytes) -> None:
        taken.append((outbox._topic, value, delivery._key))

    monkeypatch.setattr(outbox, "_admit", admit)
    return taken


def _wait_until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_absent_fields_are_filled(producer: AuditProducer, sent: list[Any]) -> None:
    before = time.time()
    delivery = producer.emit(action="StorageDeleted", actor=USER)
    topic, value, key = sent[0]
    event = orjson.loads(value)
    occurred_at = parse_rfc3339(event.pop("occurred_at"))
    assert before - 0.001 <= occurred_at.timestamp() <= time.time()
    assert is_uuid7(event["id"])
    assert event.pop("id") == delivery.id
    stamp = event.pop("producer")
    assert (set(stamp), stamp["seq"]) == ({"instance", "epoch", "seq"}, 1)
    assert event == {
        "schema_version": 1,
        "action": "StorageDeleted",
        "actor": USER,
        "account": {"id": "system"},
        "description": "Deleted a storage",
    }
    assert (topic, key) == ("audit.events", b"system")


def test_what_is_given_is_kept(producer: AuditProducer, sent: list[Any]) -> None:
    given = {
        "id": "019cd000-0000-7000-8000-000000000001",
        "schema_version": 1,
        "action": "StorageDeleted",
        "occurred_at": "2026-11-22T10:00:00Z",
        "account": {"id": "acme", "name": "Acme"},
        "description": "Deleted the archive",
        "unknown_field": {"kept": [1, None]},
        "producer": {"service": "of the source", "seq": 7},
    }
    producer.emit(given)
    assert orjson.loads(sent[0][1]) == given
    assert sent[0][2] == b"acme"


def test_keywords_win_over_the_mapping_which_is_not_changed(
    producer: AuditProducer, sent: list[Any]
) -> None:
    template = {"action": "Login", "actor": USER}
    producer.emit(template, action="Logout")
    assert orjson.loads(sent[0][1])["action"] == "Logout"
    assert template == {"action": "Login", "actor": USER}


def test_structures_and_datetimes_are_taken(producer: AuditProducer, sent: list[Any]) -> None:
    at = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=timezone(timedelta(hours=2)))
    producer.emit(
        action="Login",
        occurred_at=at,
        account=Account(id="acme"),
        actor=Actor(type="user", id="u-1"),
        targets=[Target(type="storage", id="s-1")],
    )
    event = orjson.loads(sent[0][1])
    assert event["occurred_at"] == "2026-11-22T10:00:00.000005+00:00"
    assert event["targets"] == [{"type": "storage", "id": "s-1"}]
    assert sent[0][2] == b"acme"


def test_the_operators_account_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    with AuditProducer(NOBODY, operator_account="platform", options={"log_level": 0}) as producer:
        raw, key, _ = producer._assemble({"action": "Login", "account": None})
    assert orjson.loads(raw)["account"] == {"id": "platform"}
    assert key == b"platform"


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({}, RejectCode.MISSING_FIELD, "action"),
        ({"action": 7}, RejectCode.WRONG_TYPE, "action"),
        ({"action": "no spaces"}, RejectCode.INVALID_VALUE, "action"),
        ({"action": "Login", "account": {"name": "x"}}, RejectCode.MISSING_FIELD, "account.id"),
        ({"action": "Login", "account": {"id": ""}}, RejectCode.INVALID_VALUE, "account.id"),
        ({"action": "Login", "actor": {"type": "robot"}}, RejectCode.INVALID_VALUE, "actor.type"),
        ({"action": "Login", "id": "7"}, RejectCode.INVALID_VALUE, "id"),
        ({"action": "Login", "location": {}}, RejectCode.RESERVED_NAME, "location"),
        (
            {"action": "Login", "schema_version": 2},
            RejectCode.UNSUPPORTED_VERSION,
            "schema_version",
        ),
        (
            {"action": "Login", "occurred_at": datetime(2026, 11, 22)},  # noqa: DTZ001
            RejectCode.INVALID_VALUE,
            "occurred_at",
        ),
        (
            {"action": "Login", "metadata": {"x": float("nan")}},
            RejectCode.INVALID_VALUE,
            "metadata.x",
        ),
        (
            {"action": "Login", "metadata": {"x": "y" * 65_536}},
            RejectCode.INVALID_VALUE,
            "metadata",
        ),
        ({"action": "Login", "x": "y" * 262_144, "description": "z"}, RejectCode.TOO_LARGE, "x"),
        ({"action": "Login", "metadata": {"x": "\ud800"}}, RejectCode.NOT_UTF8, "metadata.x"),
        ({"action": "Login", "metadata": {"x": DEEP}}, RejectCode.TOO_DEEP, "metadata"),
    ],
)
def test_what_breaks_the_schema_is_refused_and_nothing_is_sent(
    producer: AuditProducer,
    sent: list[Any],
    fields: dict[str, Any],
    code: RejectCode,
    field: str | None,
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        producer.emit(fields)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert sent == []


def test_a_full_queue_refuses_the_event_at_once() -> None:
    options = {"log_level": 0, "queue.buffering.max.messages": 2}
    producer = AuditProducer(NOBODY, options=options)
    kept = [producer.emit(action="Login") for _ in range(2)]
    with pytest.raises(QueueFull, match="2 events wait") as caught:
        producer.emit(action="Login")
    assert caught.value.retriable
    with pytest.raises(DeliveryFailed) as lost:
        producer.close(timeout_s=0)
    assert lost.value.count == 2  # the refused one was never taken
    assert all(delivery.done for delivery in kept)


def test_a_delivery_that_fails_is_told_without_another_emit(
    caplog: pytest.LogCaptureFixture,
) -> None:
    producer = AuditProducer(NOBODY, delivery_timeout_s=0.2, options={"log_level": 0})
    called = threading.Event()
    with caplog.at_level(logging.ERROR, "auditbus.producers"):
        delivery = producer.emit(action="Login", metadata={"password": "hunter2"})
        delivery.add_done_callback(lambda _: called.set())
        assert called.wait(10)
        _wait_until(lambda: bool(caplog.records))
    assert "1 audit events not delivered" in caplog.text
    assert "hunter2" not in caplog.text
    assert delivery.done
    assert isinstance(delivery.exception, DeliveryFailed)
    assert delivery.exception.may_retry
    producer.close()  # its owner has seen the failure: nothing is left to tell


def test_failures_that_nobody_has_seen_are_told_once_by_flush() -> None:
    producer = AuditProducer(NOBODY, delivery_timeout_s=0.2, options={"log_level": 0})
    first, second = (producer.emit(action="Login") for _ in range(2))
    with pytest.raises(DeliveryFailed):
        first.wait(10)
    _wait_until(lambda: second.done)
    with pytest.raises(DeliveryFailed) as told:
        producer.flush()
    assert told.value.count == 1
    assert second.exception is not None
    producer.flush()
    producer.close()


def test_flush_says_how_many_are_unacknowledged_and_keeps_them(producer: AuditProducer) -> None:
    deliveries = [producer.emit(action="Login") for _ in range(3)]
    with pytest.raises(DeliveryFailed, match=r"3 still unacknowledged after 0\.1 s") as late:
        producer.flush(timeout_s=0.1)
    assert (late.value.count, late.value.may_retry) == (3, True)
    assert not any(delivery.done for delivery in deliveries)


def test_waiting_is_bounded(producer: AuditProducer) -> None:
    with pytest.raises(DeliveryFailed, match=r"within 0\.05 s") as late:
        producer.emit_and_wait(action="Login", timeout_s=0.05)
    assert late.value.may_retry


def test_close_is_loud_once_and_ends_every_handle_and_the_thread() -> None:
    producer = AuditProducer(NOBODY, options={"log_level": 0})
    waiting = [producer.emit(action="Login") for _ in range(3)]
    with pytest.raises(DeliveryFailed, match="not acknowledged before") as lost:
        producer.close(timeout_s=0)
    assert lost.value.count == 3
    assert all(delivery.exception is not None for delivery in waiting)
    assert not producer._outbox._thread.is_alive()
    producer.close()
    with pytest.raises(ProducerClosed):
        producer.emit(action="Login")


def test_leaving_the_context_does_not_hide_the_error_that_left_it() -> None:
    with pytest.raises(KeyError) as caught:
        _fail_within_context()
    assert any("1 events were not acknowledged" in note for note in caught.value.__notes__)


def _fail_within_context() -> None:
    with AuditProducer(NOBODY, delivery_timeout_s=0.2, options={"log_level": 0}) as producer:
        producer.emit(action="Login")
        raise KeyError("the service's own")


def test_a_callback_that_raises_stops_nobody(caplog: pytest.LogCaptureFixture) -> None:
    producer = AuditProducer(NOBODY, delivery_timeout_s=0.2, options={"log_level": 0})
    called = threading.Event()
    first, second = (producer.emit(action="Login") for _ in range(2))
    first.add_done_callback(lambda _: 1 / 0)
    second.add_done_callback(lambda _: called.set())
    assert called.wait(10)
    late: list[str] = []
    second.add_done_callback(lambda delivery: late.append(delivery.id))
    assert late == [second.id]
    with pytest.raises(DeliveryFailed):
        producer.close()
    assert "delivery callback failed" in caplog.text


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"no.such.option": "x"}, "no.such.option"),
        ({"security.protocol": "carrier pigeon"}, "security.protocol"),
        ({"acks": "0"}, "acks"),
        ({"partitioner": "random"}, "partitioner"),
        ({"enable.idempotence": False}, "enable.idempotence"),
    ],
)
def test_wrong_options_are_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        AuditProducer(NOBODY, options=options)


def test_security_is_passed_through_and_no_secret_shows() -> None:
    options = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "billing",
        "sasl.password": "hunter2",
        "log_level": 0,
    }
    with AuditProducer(NOBODY, options=options) as producer:
        assert "hunter2" not in repr(producer) + repr(vars(producer))
    with pytest.raises(SettingsError) as refused:
        AuditProducer(NOBODY, options={**options, "ssl.key.pem": "hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_signal_handler_may_emit_in_the_midst_of_emit(producer: AuditProducer) -> None:
    handled: list[Delivery] = []

    def handle(_signal: int, _frame: object) -> None:
        handled.append(producer.emit(action="Logout"))

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        with (
            producer._outbox._lock,
            producer._outbox.ledger.lock,
        ):  # what emit and a handle's reader hold
            signal.raise_signal(signal.SIGUSR1)
            assert handled[0].exception is None
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_signal_handler_that_emits_amid_emit_comes_behind_it_in_queue_and_sequence(
    producer: AuditProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = producer._outbox
    assert outbox is not None
    taken: list[dict[str, Any]] = []
    handled: list[Delivery] = []

    def admit(_: Delivery, value: bytes) -> None:
        if not handled:
            signal.raise_signal(signal.SIGUSR1)
        taken.append(orjson.loads(value))

    def handle(_signal: int, _frame: object) -> None:
        handled.append(producer.emit(action="Logout"))

    monkeypatch.setattr(outbox, "_admit", admit)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        producer.emit(action="Login")
    finally:
        signal.signal(signal.SIGUSR1, before)
    found = [(event["action"], event["producer"]["seq"]) for event in taken]
    assert found == [("Login", 1), ("Logout", 2)]
    assert taken[1]["id"] == handled[0].id


def test_a_process_that_forgets_to_close_still_ends() -> None:
    program = f"""
from auditbus.producers import AuditProducer
producer = AuditProducer("{NOBODY}", options={{"log_level": 0}})
producer.emit(action="Login")
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == 0


def test_a_dropped_producer_ends_its_thread() -> None:
    producer = AuditProducer(NOBODY, options={"log_level": 0})
    thread = producer._outbox._thread
    del producer
    thread.join(10)
    assert not thread.is_alive()


def test_what_services_import() -> None:
    assert set(producers.__all__) == {
        "AuditProducer",
        "Certainty",
        "Delivery",
        "DeliveryFailed",
        "EventFields",
        "InvalidEvent",
        "ProducerClosed",
        "ProducerMetrics",
        "PublishError",
        "QueueFull",
        "Recording",
        "Redactor",
        "RejectCode",
        "SecretPattern",
        "SettingsError",
        "Spool",
        "SpoolFull",
        "WouldBlock",
        "bind",
        "bound",
        "carry",
        "changes_between",
        "current",
        "recorded",
        "snapshot",
        "unbind",
    }
    assert all(hasattr(producers, name) for name in producers.__all__)


def test_a_structure_with_a_wrong_type_inside_is_refused_though_it_looks_right(producer) -> None:
    """msgspec takes an instance of the very structure for valid, whatever it holds."""
    with pytest.raises(InvalidEvent) as refused:
        producer.emit(action="Login", account=Account(id=7))  # type: ignore[arg-type]
    assert refused.value.field == "account.id"


def test_what_the_stream_would_refuse_for_its_time_is_refused_at_once(
    producer: AuditProducer,
) -> None:
    for far in ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"):
        with pytest.raises(InvalidEvent, match="10 years") as refused:
            producer.emit(action="Login", occurred_at=far)
        assert refused.value.field == "occurred_at"
