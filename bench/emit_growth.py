"""Does `emit()` grow the process? Ten million calls, delivered; memory before and after."""

import gc
import os
import sys
import time
from pathlib import Path

from auditbus.producers import AuditProducer, QueueFull
from bench.broker import create_topic, kafka
from bench.emit import EVENT, SERVICE, service_context
from bench.report import Measured

_TOPIC = "bench.growth"
_CALLS = int(os.environ.get("AUDITBUS_BENCH_CALLS", "10000000"))
_WARM_UP_CALLS = 300_000


def run() -> Measured:
    with kafka() as servers:
        # The broker keeps little of it: some gigabytes pass.
        create_topic(servers, _TOPIC, retention_bytes="10000000", segment_bytes="10000000")
        with service_context(), AuditProducer(servers, topic=_TOPIC, **SERVICE) as producer:
            _emit(producer, _WARM_UP_CALLS)
            before = _memory()
            start_s = time.perf_counter()
            full = _emit(producer, _CALLS // 2)
            half = _memory()
            full += _emit(producer, _CALLS - _CALLS // 2)
            took_s = time.perf_counter() - start_s
            after = _memory()
    return Measured(
        question="Does emit() grow the process?",
        figures={
            "calls": _CALLS,
            "blocks_before": before[0],
            "blocks_at_half": half[0],
            "blocks_after": after[0],
            "blocks_per_million_calls": (after[0] - before[0]) / _CALLS * 1e6,
            "rss_before_mib": before[1],
            "rss_at_half_mib": half[1],
            "rss_after_mib": after[1],
            "delivered_events_per_s": _CALLS / took_s,
            "times_queue_was_full": full,
        },
        demands={"blocks_per_million_calls": "no growth", "calls": "10,000,000"},
        notes=(
            (
                "blocks: sys.getallocatedblocks(), Python's own allocations, after a flush and "
                "a full collection; rss: of the whole process, librdkafka's memory among it."
            ),
            "rss rises once, to what a full queue takes (64 MiB): compare half and end.",
            f"Measured from after the first {_WARM_UP_CALLS:,} calls on.",
        ),
    )


def _emit(producer: AuditProducer, calls: int) -> int:
    """Emit, waiting where the queue is full; returns how often it was, once all is delivered."""
    full = 0
    for _ in range(calls):
        while True:
            try:
                producer.emit(EVENT)
            except QueueFull:
                full += 1
                time.sleep(0.01)
            else:
                break
    producer.flush(60)
    return full


def _memory() -> tuple[int, float]:
    """Return Python's allocated blocks, and resident MiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return sys.getallocatedblocks(), pages * os.sysconf("SC_PAGE_SIZE") / 2**20
