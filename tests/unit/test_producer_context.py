"""What is bound is in every event, in the thread, task and request it belongs to and no other."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from auditbus.producers import bind, bound, carry, current, unbind
from auditbus.producers.context import bound_request
from auditbus.producers.testing import RecordingProducer
from auditbus.schemas import Account, Actor
from auditbus.schemas.event import Context

ANN = {"type": "user", "id": "ann"}
BOB = {"type": "user", "id": "bob"}


def recorded(audit: RecordingProducer) -> dict[str, Any]:
    audit.emit(action="Login")
    event = audit.events[-1]
    return {name: event[name] for name in ("actor", "account", "context") if name in event}


def test_a_block_binds_and_restores(audit_events: RecordingProducer) -> None:
    with bound(actor=ANN, account={"id": "acme"}, context={"ip": "192.0.2.1", "request_id": "r"}):
        with bound(actor=Actor(type="user", id="bob"), context=Context(ip="192.0.2.2")):
            assert recorded(audit_events) == {
                "actor": BOB,
                "account": {"id": "acme"},
                "context": {"ip": "192.0.2.2", "request_id": "r"},
            }
        with bound(actor=None, context={"ip": None}):
            assert recorded(audit_events) == {
                "account": {"id": "acme"},
                "context": {"request_id": "r"},
            }
        assert recorded(audit_events)["actor"] == ANN
    assert recorded(audit_events) == {"account": {"id": "system"}}


def test_what_the_event_says_wins_and_context_is_merged_by_member(
    audit_events: RecordingProducer,
) -> None:
    with bound(actor={**ANN, "email": "ann@x"}, context={"ip": "192.0.2.1", "session_id": "s"}):
        audit_events.emit(
            action="Login", actor=BOB, context={"ip": "192.0.2.9", "session_id": None}
        )
        audit_events.emit(action="Login", actor=None, context=Context(request_id="r"))
    first, second = audit_events.events
    assert first["actor"] == BOB  # whole: Ann's address is not Bob's
    assert first["context"] == {"ip": "192.0.2.9", "session_id": "s"}
    assert second["actor"] == {**ANN, "email": "ann@x"}
    assert second["context"] == {"ip": "192.0.2.1", "session_id": "s", "request_id": "r"}


def test_bind_and_unbind(audit_events: RecordingProducer) -> None:
    with bound():  # so that this test leaves nothing behind
        bind(actor=ANN, account=Account(id="acme"))
        bind(context={"ip": "192.0.2.1"})
        bind(context={"session_id": "s"})
        assert current() == {
            "actor": ANN,
            "account": {"id": "acme"},
            "context": {"ip": "192.0.2.1", "session_id": "s"},
        }
        unbind("actor")
        assert "actor" not in recorded(audit_events)
        unbind()
        assert recorded(audit_events) == {"account": {"id": "system"}}


def test_what_is_bound_later_changes_nothing_bound_before() -> None:
    members: dict[str, Any] = {"type": "user", "id": "ann", "credential": {"id": "k-1"}}
    with bound(actor=members):
        members["id"] = "eve"
        members["credential"]["id"] = "k-2"
        current()["actor"]["credential"]["id"] = "k-3"
        assert current()["actor"] == {"type": "user", "id": "ann", "credential": {"id": "k-1"}}


def test_a_secret_that_is_bound_is_redacted_in_every_event(
    audit_events: RecordingProducer,
) -> None:
    with bound(actor={**ANN, "name": "password=hunter2"}, context={"user_agent": "token=abc"}):
        for _ in range(3):
            found = recorded(audit_events)
            assert found["actor"]["name"] == "password=[redacted]"
            assert found["context"] == {"user_agent": "token=[redacted]"}
    with bound(actor=ANN):
        audit_events.emit(action="Login", metadata={"password": "x"})
        audit_events.emit(action="Login", metadata={"password": "x"})
    assert all(event["metadata"]["password"] == "[redacted]" for event in audit_events.events[3:])


def test_only_what_an_event_has_can_be_bound() -> None:
    with pytest.raises(TypeError, match="tenant can't be bound, only actor, account, context"):
        bind(tenant="x")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="actor: a mapping"):
        bind(actor="ann")  # type: ignore[typeddict-item]
    with pytest.raises(TypeError, match="user"):
        unbind("user")
    assert current() == {}


def test_a_new_thread_has_nothing_unless_it_is_carried() -> None:
    seen: dict[str, Any] = {}

    def look(name: str) -> None:
        seen[name] = current().get("actor")

    with bound(actor=ANN):
        threads = [
            threading.Thread(target=look, args=("alone",)),
            threading.Thread(target=carry(look), args=("carried",)),
        ]
        for thread in threads:
            thread.start()
            thread.join()
        with ThreadPoolExecutor(1) as pool:
            pool.submit(carry(look), "pool").result()
            pool.submit(look, "pool's next job").result()
    assert seen == {"alone": None, "carried": ANN, "pool": ANN, "pool's next job": None}


def test_one_carried_function_runs_in_many_threads_at_once() -> None:
    together = threading.Barrier(4, timeout=10)

    def look() -> Any:
        together.wait()
        return current()["actor"]["id"]

    with bound(actor=ANN):
        carried = carry(look)
    with ThreadPoolExecutor(4) as pool:
        assert [job.result() for job in [pool.submit(carried) for _ in range(4)]] == ["ann"] * 4


def test_tasks_and_to_thread_inherit_and_do_not_mix() -> None:
    async def work(name: str) -> tuple[str, str]:
        bind(actor={"type": "user", "id": name})
        await asyncio.sleep(0)
        return current()["actor"]["id"], current()["account"]["id"]

    async def main() -> None:
        with bound(account={"id": "acme"}):
            names = [f"u{number}" for number in range(20)]
            assert await asyncio.gather(*map(work, names)) == [(name, "acme") for name in names]
            assert "actor" not in current()
            assert (await asyncio.to_thread(current))["account"] == {"id": "acme"}

    asyncio.run(main())


def test_within_a_request_bind_counts_for_all_of_it() -> None:
    async def authenticate() -> None:
        bind(actor=ANN)

    async def main() -> None:
        with bound(account={"id": "acme"}), bound_request({"context": {"request_id": "r"}}):
            await asyncio.create_task(authenticate())
            assert current()["actor"] == ANN
            await asyncio.to_thread(bind, account={"id": "other"})
            assert current()["account"] == {"id": "other"}
            with bound(actor=BOB):
                bind(context={"session_id": "s"})  # for this block
                await asyncio.to_thread(carry(lambda: None))
                assert current()["actor"] == BOB
                assert current()["context"] == {"request_id": "r", "session_id": "s"}
            assert current()["context"] == {"request_id": "r"}
        assert current() == {}

    asyncio.run(main())


def test_two_requests_at_once_do_not_see_each_other() -> None:
    async def request(number: int) -> str:
        with bound_request({"context": {"request_id": str(number)}}):
            await asyncio.to_thread(bind, actor={"type": "user", "id": f"u{number}"})
            await asyncio.sleep(0.001 * (number % 3))
            found = current()
            return f"{found['context']['request_id']}-{found['actor']['id']}"

    async def main() -> list[str]:
        return await asyncio.gather(*map(request, range(50)))

    assert asyncio.run(main()) == [f"{number}-u{number}" for number in range(50)]


def test_the_current_span_of_opentelemetry_is_the_events_trace(
    audit_events: RecordingProducer,
) -> None:
    tracer = TracerProvider().get_tracer("tests")
    with bound(context={"trace_id": "of-the-header", "ip": "192.0.2.1"}):
        assert recorded(audit_events)["context"]["trace_id"] == "of-the-header"
        with tracer.start_as_current_span("work") as span:
            trace_id = f"{span.get_span_context().trace_id:032x}"
            assert recorded(audit_events)["context"] == {"trace_id": trace_id, "ip": "192.0.2.1"}
            audit_events.emit(action="Login", context={"trace_id": "explicit"})
            assert audit_events.events[-1]["context"]["trace_id"] == "explicit"
        assert trace.get_current_span().get_span_context().is_valid is False
        assert recorded(audit_events)["context"]["trace_id"] == "of-the-header"
    with tracer.start_as_current_span("work"):
        assert set(recorded(audit_events)["context"]) == {"trace_id"}
