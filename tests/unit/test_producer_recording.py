"""A recorded block or call leaves one event, and nothing else is changed by it."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from auditbus.producers import (
    AuditProducer,
    DeliveryFailed,
    QueueFull,
    Recording,
    bind,
    bound,
    recorded,
)
from auditbus.producers.testing import RecordingProducer


@dataclasses.dataclass
class Storage:
    id: str
    name: str
    tags: dict[str, str] = dataclasses.field(default_factory=dict)


class StorageInUse(Exception):
    pass


def takes_time(duration_ms: object) -> bool:
    return isinstance(duration_ms, float) and 0 <= duration_ms < 10_000


def test_a_block_that_goes_well(audit_events: RecordingProducer) -> None:
    with Recording(audit_events, action="StorageUpdated", metadata={"plan": "team"}) as event:
        event.targets = [{"type": "storage", "id": "s-1"}]
        event.metadata["rows"] = 3
        event.update(description="Moved", metadata={"to": "eu"})
        event.compare({"name": "a"}, {"name": "b"})
        assert audit_events.events == []
    found = audit_events.assert_recorded(
        action="StorageUpdated",
        outcome="success",
        description="Moved",
        targets=[{"id": "s-1"}],
        changes=[{"field": "name", "before": "a", "after": "b"}],
        metadata={"plan": "team", "rows": 3, "to": "eu", "duration_ms": takes_time},
        count=1,
    )
    assert "error" not in found


def test_a_block_that_fails(audit_events: RecordingProducer) -> None:
    error = StorageInUse("a schedule uses it, password=hunter2")
    with pytest.raises(StorageInUse) as caught, Recording(audit_events, action="StorageDeleted"):
        raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")
    audit_events.assert_recorded(
        outcome="failure",
        error={"code": "StorageInUse", "message": "a schedule uses it, password=[redacted]"},
        metadata={"duration_ms": takes_time},
    )


def test_an_outcome_of_its_own_is_kept(audit_events: RecordingProducer) -> None:
    with Recording(audit_events, action="Login") as event:
        event.update(outcome="failure", error={"code": "wrong_password"})
    audit_events.assert_recorded(outcome="failure", error={"code": "wrong_password"})


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
def test_what_is_no_exception_goes_on_too(
    audit_events: RecordingProducer, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), Recording(audit_events, action="Login"):
        raise kind
    audit_events.assert_recorded(outcome="failure", error={"code": kind.__name__})


def test_an_exception_that_cannot_be_shown(audit_events: RecordingProducer) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    class Surrogate(Exception):
        pass

    with pytest.raises(Odd), Recording(audit_events, action="Login"):
        raise Odd
    with pytest.raises(Surrogate), Recording(audit_events, action="Login"):
        raise Surrogate("\ud800" + "x" * 5000)
    first, second = audit_events.events
    assert first["error"] == {"code": "Odd"}
    assert len(second["error"]["message"]) == 2048


def test_async_blocks(audit_events: RecordingProducer) -> None:
    async def main() -> None:
        async with Recording(audit_events, action="BackupCompleted"):
            await asyncio.sleep(0.01)
        with pytest.raises(StorageInUse):
            async with Recording(audit_events, action="BackupCompleted"):
                raise StorageInUse

    asyncio.run(main())
    assert [event["outcome"] for event in audit_events.events] == ["success", "failure"]
    assert audit_events.events[0]["metadata"]["duration_ms"] >= 5


def test_a_decorated_function_stays_what_it_was(audit_events: RecordingProducer) -> None:
    @recorded(
        audit_events,
        "StorageRenamed",
        targets=lambda call: [{"type": "storage", "id": call["storage"].id}],
        changes=lambda call: call["storage"],
        fields=lambda call: {"account": {"id": call["account"]}, "metadata": {"why": call["why"]}},
        description="Renamed",
    )
    def rename(storage: Storage, name: str, *, account: str = "acme", why: str = "") -> Storage:
        """Rename it."""
        storage.name = name
        storage.tags["renamed"] = "yes"
        return storage

    storage = Storage("s-1", "old")
    assert rename(storage, "new", why="wish") is storage
    assert rename.__name__ == "rename"
    assert rename.__doc__ == "Rename it."
    assert list(inspect.signature(rename).parameters) == ["storage", "name", "account", "why"]
    audit_events.assert_recorded(
        action="StorageRenamed",
        account={"id": "acme"},
        description="Renamed",
        outcome="success",
        targets=[{"type": "storage", "id": "s-1"}],
        changes=[
            {"field": "name", "before": "old", "after": "new"},
            {"field": "tags.renamed", "after": "yes"},
        ],
        metadata={"why": "wish", "duration_ms": takes_time},
    )


def test_a_decorated_coroutine_function(audit_events: RecordingProducer) -> None:
    @recorded(audit_events, "StorageDeleted", targets=lambda call: [{"id": call["id"]}])
    async def delete(id: str, fail: bool = False) -> str:  # noqa: A002
        bind(actor={"type": "user", "id": "ann"})
        await asyncio.sleep(0)
        if fail:
            raise StorageInUse(id)
        return id

    async def main() -> None:
        assert inspect.iscoroutinefunction(delete)
        assert await delete("s-1") == "s-1"
        with pytest.raises(StorageInUse):
            await delete("s-2", fail=True)

    asyncio.run(main())
    first, second = audit_events.events
    assert (first["outcome"], first["targets"]) == ("success", [{"id": "s-1"}])
    assert first["actor"]["id"] == "ann"  # bound in the call itself
    assert (second["outcome"], second["targets"]) == ("failure", [{"id": "s-2"}])


def test_a_failed_call_has_no_changes(audit_events: RecordingProducer) -> None:
    @recorded(audit_events, "StorageRenamed", changes=lambda call: call["storage"])
    def rename(storage: Storage) -> None:
        storage.name = "half"
        raise StorageInUse

    with pytest.raises(StorageInUse):
        rename(Storage("s", "a"))
    assert "changes" not in audit_events.events[0]


def test_methods_and_a_producer_made_later(audit_events: RecordingProducer) -> None:
    made: list[RecordingProducer] = []

    class Storages:
        @recorded(lambda: made[0], "StorageDeleted", targets=lambda call: [{"id": call["id"]}])
        def delete(self, id: str) -> tuple[Storages, str]:  # noqa: A002
            return self, id

    made.append(audit_events)
    storages = Storages()
    assert storages.delete("s-1") == (storages, "s-1")
    audit_events.assert_recorded(targets=[{"id": "s-1"}])


def test_generators_are_refused(audit_events: RecordingProducer) -> None:
    def numbers() -> Iterator[int]:
        yield 1

    async def later() -> AsyncIterator[int]:
        yield 1

    for generator in (numbers, later):
        with pytest.raises(TypeError, match="is a generator"):
            recorded(audit_events, "Login")(generator)


def test_a_wrong_call_fails_as_it_would(audit_events: RecordingProducer) -> None:
    @recorded(audit_events, "Login", targets=lambda call: [{"id": call["x"]}])
    def work(x: int) -> None:
        pass

    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        work()  # type: ignore[call-arg]
    audit_events.assert_recorded(outcome="failure", error={"code": "TypeError"})


def test_a_source_that_fails_costs_its_fields_alone(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> Any:
        raise ValueError("hunter2")

    @recorded(audit_events, "Login", targets=broken, changes=broken, fields=broken)
    def work() -> int:
        return 7

    assert work() == 7
    audit_events.assert_recorded(action="Login", outcome="success")
    assert caplog.text.count("lacks fields: their source raised ValueError") == 4
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("given", [["x"], {"metadata": "text"}, {"metadata": 5}, {1: 2}, 7])
def test_a_source_of_fields_that_gives_nonsense_does_not_keep_the_call_from_running(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture, given: Any
) -> None:
    @recorded(audit_events, "Login", fields=lambda _: given)
    def work() -> int:
        return 7

    assert work() == 7
    audit_events.assert_recorded(action="Login", outcome="success")
    assert "lacks fields" in caplog.text


def test_a_source_of_fields_that_gives_none_adds_none(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture
) -> None:
    @recorded(audit_events, "Login", fields=lambda _: None)
    def work() -> int:
        return 7

    assert work() == 7
    audit_events.assert_recorded(action="Login", outcome="success")
    assert not caplog.records


def test_a_producer_that_cannot_be_had_costs_the_event_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_producer() -> Any:
        raise LookupError("no application context")

    @recorded(no_producer, "Login")
    def work() -> int:
        return 7

    @recorded(no_producer, "Login")
    async def work_async() -> int:
        return 8

    assert work() == 7
    assert asyncio.run(work_async()) == 8
    assert caplog.text.count("audit event Login is lost: LookupError") == 2


@pytest.mark.parametrize(("given", "is_lost"), [(None, False), (5, True)])
def test_metadata_that_the_block_has_spoilt_does_not_fail_the_block(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture, given: Any, is_lost: bool
) -> None:
    with Recording(audit_events, action="Login") as event:
        event.metadata = given
    assert len(audit_events.events) == (0 if is_lost else 1)
    assert ("audit event Login is lost" in caplog.text) is is_lost


def test_metadata_that_is_no_mapping_is_refused_when_the_function_is_decorated(
    audit_events: RecordingProducer,
) -> None:
    with pytest.raises(TypeError, match="metadata"):
        recorded(audit_events, "Login", metadata="team")


@pytest.mark.parametrize("lost", [QueueFull("full"), DeliveryFailed("late"), RuntimeError("x")])
def test_a_lost_event_is_logged_and_the_result_stands(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture, lost: Exception
) -> None:
    @recorded(audit_events, "Login", metadata={"password": "hunter2"})
    def work() -> int:
        return 7

    @recorded(audit_events, "Login")
    def fail() -> None:
        raise StorageInUse

    with audit_events.failing(lost):
        assert work() == 7
        with pytest.raises(StorageInUse) as caught:
            fail()
    assert "the event Login of this failure is lost" in caught.value.__notes__[0]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "audit event Login is lost" in caplog.text
    assert "hunter2" not in caplog.text
    assert audit_events.events == []


def test_an_invalid_event_is_logged_and_the_result_stands(
    audit_events: RecordingProducer, caplog: pytest.LogCaptureFixture
) -> None:
    with Recording(audit_events, action="no spaces"):
        pass
    assert "is lost: action: does not match" in caplog.text


def test_fail_closed_raises_after_success_and_not_over_the_blocks_own_error() -> None:
    audit = RecordingProducer(delivery={"StorageDeleted": "fail_closed"})

    @recorded(audit, "StorageDeleted")
    def delete(fail: bool) -> None:
        if fail:
            raise StorageInUse

    @recorded(audit, "StorageDeleted")
    async def delete_async() -> None:
        pass

    with audit.failing():
        with pytest.raises(DeliveryFailed):
            delete(fail=False)
        with pytest.raises(DeliveryFailed):
            asyncio.run(delete_async())
        with pytest.raises(StorageInUse) as caught:
            delete(fail=True)
        with Recording(audit, action="Login"):
            pass
        with (
            pytest.raises(DeliveryFailed),
            Recording(audit, action="Login", delivery="fail_closed", timeout_s=1),
        ):
            pass
        with Recording(audit, action="StorageDeleted", delivery="best_effort"):
            pass
    assert caught.value.__notes__
    with Recording(audit, action="Login", delivery="fail_closed", timeout_s=1):
        pass
    assert "delivery" not in audit.events[0]


def test_the_real_producers_fail_closed_actions_fail_a_recorded_block() -> None:
    nobody = "127.0.0.1:9"
    audit = AuditProducer(nobody, delivery={"StorageDeleted": "fail_closed"})
    with pytest.raises(DeliveryFailed), Recording(audit, action="StorageDeleted", timeout_s=0.2):
        pass
    audit.close(timeout_s=0.1)


def test_what_is_bound_is_in_it(audit_events: RecordingProducer) -> None:
    with bound(account={"id": "acme"}), Recording(audit_events, action="Login"):
        bind(actor={"type": "user", "id": "ann"})
    audit_events.assert_recorded(account={"id": "acme"}, actor={"id": "ann"})
