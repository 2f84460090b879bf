"""What a service pays while Kafka is away, and how fast the spool drains when it is back."""

import statistics
import tempfile
import time
from pathlib import Path

from auditbus.producers import AuditProducer, Spool
from bench.broker import create_topic, kafka
from bench.emit import EVENT, SERVICE, service_context
from bench.report import Measured

_TOPIC = "bench.spool"
_NOBODY = "127.0.0.1:9"
_QUEUED_EVENTS, _SPOOLED_EVENTS, _ROUNDS = 50_000, 50_000, 5
_NOTES = (
    "Nobody listens where Kafka should be. One thread emits in a row; sync_s is 1, its default.",
    (
        f"spooling_*: the median of {_ROUNDS} rounds of {_SPOOLED_EVENTS:,} events, each on disk "
        "(written, not yet synced) before emit() returns."
    ),
    (
        f"turning_*: while {_QUEUED_EVENTS:,} events that were queued are copied to the spool; the "
        "longest that one call had to wait."
    ),
    "drained_events_per_s: a new process's producer adopts it all and delivers it to a real Kafka.",
)


def run() -> Measured:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as directory:
        spool = Spool(Path(directory) / "spool", after_s=3)
        with service_context():
            turning_us, rounds, spooled = _away(spool)
        drained_per_s = _drain(spool, spooled)
    return Measured(
        question="What does emit() cost while Kafka is away?",
        figures={
            "spooling_emit_p50_us": statistics.median(p50 for p50, _, _ in rounds),
            "spooling_emit_p99_us": statistics.median(p99 for _, p99, _ in rounds),
            "spooling_emit_max_us": max(longest for _, _, longest in rounds),
            "turning_emit_max_us": turning_us,
            "spooled_events": spooled,
            "drained_events_per_s": drained_per_s,
        },
        demands={"spooling_emit_p50_us": "under 50"},
        notes=_NOTES,
    )


def _away(spool: Spool) -> tuple[float, list[tuple[float, float, float]], int]:
    producer = AuditProducer(
        _NOBODY, topic=_TOPIC, spool=spool, options={"log_level": 0}, **SERVICE
    )
    turning_ns = max(_timed_ns(producer) for _ in range(_QUEUED_EVENTS))
    last = producer.emit(EVENT)
    while not last.spooled:
        turning_ns = max(turning_ns, _timed_ns(producer))
    rounds = [_round(producer) for _ in range(_ROUNDS)]
    producer.close(timeout_s=1)
    return turning_ns / 1000, rounds, producer.metrics().spooled_events


def _round(producer: AuditProducer) -> tuple[float, float, float]:
    took_ns = sorted(_timed_ns(producer) for _ in range(_SPOOLED_EVENTS))
    p50, p99 = took_ns[len(took_ns) // 2], took_ns[len(took_ns) * 99 // 100]
    return p50 / 1000, p99 / 1000, took_ns[-1] / 1000


def _timed_ns(producer: AuditProducer) -> int:
    before_ns = time.perf_counter_ns()
    producer.emit(EVENT)
    return time.perf_counter_ns() - before_ns


def _drain(spool: Spool, events: int) -> float:
    with kafka() as servers:
        create_topic(servers, _TOPIC)
        start_s = time.perf_counter()
        with AuditProducer(servers, topic=_TOPIC, spool=spool) as producer:
            while producer.metrics().acknowledged < events:
                time.sleep(0.01)
        return events / (time.perf_counter() - start_s)
