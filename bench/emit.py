"""How long a service's thread spends in `emit()`, and how many events a second one thread takes."""

import resource
import secrets
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from contextvars import Context, copy_context
from typing import Any

import orjson

from auditbus.producers import AuditProducer, QueueFull, bind, bound
from auditbus.schemas import uuid7
from auditbus.schemas.validation import validate_fields
from bench.broker import create_topic, kafka
from bench.report import Measured

Request = tuple[Context, list[dict[str, Any]]]

_TOPIC = "bench.events"
_ROUNDS = 5
_BURST_EVENTS = 50_000
_SUSTAINED_EVENTS = 600_000  # ten seconds at the demanded rate
_REQUEST_EVENTS = 5
_PACED_EVENTS, _PACED_RATE, _PACED_BATCH = 10_000, 4_000, 20
_QUEUE_WAIT_S = 0.01
_STEP_CALLS = 20_000
_NOTES = (
    (
        f"emit_*: one thread emits {_BURST_EVENTS:,} events to a real Kafka beside it, as a "
        f"service does: a request binds account, actor and context and emits {_REQUEST_EVENTS} "
        "events, each with a target and metadata of its own. A thousand users; no request, target "
        "or trace comes twice. Redaction is on. Making the request is not measured."
    ),
    "whole_emit_*: of one event, given whole each time; a session and a trace are bound to it.",
    (
        f"delivered_events_per_s: {_SUSTAINED_EVENTS:,} of the latter, in a row, until the last is "
        "acknowledged, after all else: a rate that lasts. No call is timed; where the queue is "
        "full, the thread waits. One run."
    ),
    (
        f"burst_events_per_s: likewise {_BURST_EVENTS:,} events, each call timed, so that the wait "
        "for the last acknowledgement (burst_tail_ms), the timing and a broker that has just "
        "started weigh more."
    ),
    (
        "delivered_cpu_us_per_event: processor time of this process, all threads: emit, "
        "librdkafka, delivery reports."
    ),
    f"paced_*: {_PACED_EVENTS:,} events at {_PACED_RATE:,} a second, {_PACED_BATCH} at a time.",
    "Between the paced ones the thread sleeps: its code and data leave the processor's caches.",
    f"Each figure is the median of {_ROUNDS} rounds.",
)
# What a service configures beyond the broker: a line here puts it under every figure.
SERVICE: dict[str, Any] = {"service": "bench", "version": "1.0"}


def service_context() -> AbstractContextManager[object]:
    """Bind what a request binds, around all that is measured."""
    return bound(context={"session_id": "s-4711", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"})


EVENT: dict[str, Any] = {
    "action": "StorageDeleted",
    "account": {"id": "acme", "name": "Acme Corporation"},
    "actor": {"type": "user", "id": "u-17", "name": "Ann Smith", "email": "ann@example.com"},
    "targets": [{"type": "storage", "id": "s-1", "name": "Primary"}],
    "context": {
        "ip": "203.0.113.9",
        "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
        "(KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        "request_id": "r-8812",
    },
    "metadata": {"region": "eu-central-1", "size_bytes": 12345},
}


def run() -> Measured:
    with kafka() as servers:
        create_topic(servers, _TOPIC)
        with service_context(), AuditProducer(servers, topic=_TOPIC, **SERVICE) as producer:
            producer.emit_and_wait(EVENT, timeout_s=30)
            rounds = [
                (_burst(producer, _requests()), _burst(producer, _whole()), _paced(producer))
                for _ in range(_ROUNDS)
            ]
            sustained = _sustained(producer)
    burst, whole, paced = (
        [statistics.median(column) for column in zip(*runs, strict=True)]
        for runs in zip(*rounds, strict=True)
    )
    filled = _filled()
    raw = orjson.dumps(filled)
    return Measured(
        question="How long does emit() keep the calling thread?",
        figures={
            "emit_p50_us": burst[0],
            "emit_p99_us": burst[1],
            "whole_emit_p50_us": whole[0],
            "whole_emit_p99_us": whole[1],
            "delivered_events_per_s": sustained,
            "burst_events_per_s": whole[2],
            "burst_tail_ms": whole[4],
            "delivered_cpu_us_per_event": whole[3],
            "paced_emit_p50_us": paced[0],
            "paced_emit_p99_us": paced[1],
            "event_bytes": len(raw),
            "of_which_validate_fields_us": _step_us(lambda: validate_fields(filled, len(raw))),
            "of_which_uuid7_us": _step_us(uuid7),
        },
        demands={
            "emit_p50_us": "under 20, with context and redaction",
            "whole_emit_p50_us": "under 15",
            "delivered_events_per_s": "60,000",
        },
        notes=_NOTES,
    )


def _filled() -> dict[str, Any]:
    """Return the event with what emit() fills in."""
    return {
        "id": uuid7(),
        "schema_version": 1,
        "occurred_at": "2026-11-22T10:00:00.123Z",
        "description": "Deleted a storage",
        **EVENT,
    }


def _requests() -> Iterator[Request]:
    """Yield what a service does, request by request, each in a context of its own."""
    return (_request(number) for number in range(_BURST_EVENTS // _REQUEST_EVENTS))


def _request(number: int) -> Request:
    user = number % 1000
    context = copy_context()
    context.run(
        bind,
        account={"id": f"acme-{user % 50}", "name": f"Acme {user % 50}"},
        actor={
            "type": "user",
            "id": f"u-{user}",
            "name": "Ann Smith",
            "email": f"ann.smith{user}@example.com",
        },
        context={
            **EVENT["context"],
            "ip": f"203.0.113.{user % 250}",
            "request_id": uuid7(),
            "session_id": f"s-{user}",
            "trace_id": secrets.token_hex(16),
        },
    )
    first = number * _REQUEST_EVENTS
    return context, [
        {
            "action": EVENT["action"],
            "targets": [{"type": "storage", "id": f"s-{count}", "name": "Primary"}],
            "metadata": {"region": "eu-central-1", "size_bytes": 12345 + count},
        }
        for count in range(first, first + _REQUEST_EVENTS)
    ]


def _whole() -> Iterator[Request]:
    yield copy_context(), [EVENT] * _BURST_EVENTS


def _burst(
    producer: AuditProducer, requests: Iterable[Request]
) -> tuple[float, float, float, float, float]:
    """Return p50 and p99 in µs, events a second to the last acknowledgement, and CPU µs of each.

    Last, how many ms after the last call the last acknowledgement came.
    """
    took_ns: list[int] = []
    start_s, start_cpu_s = time.perf_counter(), _cpu_s()
    for context, events in requests:
        context.run(_emit_all, producer, events, took_ns)
    emitted_s = time.perf_counter()
    producer.flush()
    end_s, cpu_s = time.perf_counter(), _cpu_s() - start_cpu_s
    rate, tail_ms = _BURST_EVENTS / (end_s - start_s), (end_s - emitted_s) * 1000
    return *_percentiles_us(took_ns), rate, cpu_s / _BURST_EVENTS * 1e6, tail_ms


def _sustained(producer: AuditProducer) -> float:
    """Return events a second, from the first call to the last acknowledgement."""
    start_s = time.perf_counter()
    for _ in range(_SUSTAINED_EVENTS):
        while True:
            try:
                producer.emit(EVENT)
            except QueueFull:
                time.sleep(_QUEUE_WAIT_S)
            else:
                break
    producer.flush(60)
    return _SUSTAINED_EVENTS / (time.perf_counter() - start_s)


def _emit_all(
    producer: AuditProducer, events: Iterable[dict[str, Any]], took_ns: list[int]
) -> None:
    for event in events:
        before_ns = time.perf_counter_ns()
        producer.emit(event)
        took_ns.append(time.perf_counter_ns() - before_ns)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _paced(producer: AuditProducer) -> tuple[float, float]:
    """Return p50 and p99 in microseconds, at a rate that leaves the thread asleep in between."""
    took_ns = []
    start_s = time.perf_counter()
    for sent in range(_PACED_EVENTS):
        if sent % _PACED_BATCH == 0:
            time.sleep(max(0.0, start_s + sent / _PACED_RATE - time.perf_counter()))
        took_ns.append(_timed_ns(producer))
    producer.flush()
    return _percentiles_us(took_ns)


def _timed_ns(producer: AuditProducer) -> int:
    before_ns = time.perf_counter_ns()
    producer.emit(EVENT)
    return time.perf_counter_ns() - before_ns


def _percentiles_us(took_ns: list[int]) -> tuple[float, float]:
    took_ns.sort()
    return took_ns[len(took_ns) // 2] / 1000, took_ns[len(took_ns) * 99 // 100] / 1000


def _step_us(step: Callable[[], object]) -> float:
    """Return the median of one call, in microseconds."""
    took_ns = []
    for _ in range(_STEP_CALLS):
        before_ns = time.perf_counter_ns()
        step()
        took_ns.append(time.perf_counter_ns() - before_ns)
    return statistics.median(took_ns) / 1000
