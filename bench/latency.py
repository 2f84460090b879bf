"""From emit() to a row a reader sees, through `auditbus up` with its default settings."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import clickhouse_connect

from auditbus.deploy.local.child import Child
from auditbus.producers import AuditProducer
from bench.report import Measured

EVENTS_PER_S = 1_000
SECONDS = int(os.environ.get("AUDITBUS_BENCH_LATENCY_SECONDS", "30"))
# One event in twenty belongs to the account whose log is read over and over.
_PROBE_EVERY = 20
_PROBE_ACCOUNT = "probe"
_WARM_UP_S = 5
_POLL_S = 0.02
_READY_TIMEOUT_S = 300.0
_DRAIN_S = 20.0


@dataclass(slots=True)
class Emitted:
    """When each probe event was emitted, and when it was first seen."""

    at: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def latencies_s(self, *, after: float) -> list[float]:
        """Return those of the events emitted later than `after`, on the monotonic clock."""
        return [self.seen[name] - at for name, at in self.at.items() if at > after]


def run() -> Measured:
    with _pipeline() as endpoints, ThreadPoolExecutor(1) as reader:
        emitted = Emitted()
        watching = reader.submit(_watch, endpoints, emitted)
        begun = time.monotonic()
        with AuditProducer(endpoints["kafka"]) as producer:
            _emit_evenly(producer, emitted)
        watching.result(_DRAIN_S + 5)
    latencies = sorted(emitted.latencies_s(after=begun + _WARM_UP_S))
    return Measured(
        question="How long from emit() to a row that a reader sees?",
        figures={
            "median_s": statistics.median(latencies),
            "p95_s": latencies[int(len(latencies) * 0.95)],
            "p99_s": latencies[int(len(latencies) * 0.99)],
            "probes": len(latencies),
        },
        demands={"median_s": "under 1"},
        notes=(
            (
                f"`auditbus up` with default settings, everything on one machine; {EVENTS_PER_S:,} "
                f"events/s for {SECONDS} s, the first {_WARM_UP_S} s not counted."
            ),
            (
                f"One event in {_PROBE_EVERY} is looked for in the read view about every "
                f"{_POLL_S * 1000:.0f} ms plus the query's own time, which the figures include."
            ),
        ),
    )


def _emit_evenly(producer: AuditProducer, emitted: Emitted) -> None:
    begun = time.monotonic()
    for number in range(EVENTS_PER_S * SECONDS):
        due = begun + number / EVENTS_PER_S
        if (ahead_s := due - time.monotonic()) > 0:
            time.sleep(ahead_s)
        is_probe = number % _PROBE_EVERY == 0
        account = _PROBE_ACCOUNT if is_probe else f"account-{number % 300}"
        at = time.monotonic()
        delivery = producer.emit(
            action="RepositoryUpdated",
            account={"id": account},
            actor={"type": "user", "id": f"u{number % 5000}"},
            context={"ip": f"81.2.{number % 256}.{number % 199 + 1}", "user_agent": "curl/8.5.0"},
        )
        if is_probe:
            emitted.at[delivery.id] = at


def _watch(endpoints: dict[str, str], emitted: Emitted) -> None:
    url = urlsplit(endpoints["clickhouse"])
    client = clickhouse_connect.get_client(
        host=url.hostname, port=url.port, username="default", password=endpoints["token"]
    )
    expected = EVENTS_PER_S * SECONDS // _PROBE_EVERY
    deadline = time.monotonic() + SECONDS + _DRAIN_S
    while len(emitted.seen) < expected:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(emitted.seen)} of {expected} probes were seen")
        rows = client.query(
            "SELECT toString(id) FROM audit.log WHERE account = %(account)s"
            " ORDER BY time DESC LIMIT 500",
            parameters={"account": _PROBE_ACCOUNT},
        ).result_rows
        now = time.monotonic()
        for (name,) in rows:
            emitted.seen.setdefault(name, now)
        time.sleep(_POLL_S)


@contextmanager
def _pipeline() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as directory:
        log = Path(directory) / "up.log"
        child = Child(
            "up",
            [sys.executable, "-m", "auditbus.console", "up", "--data", f"{directory}/data"],
            log=log,
        )
        child.start()
        endpoints = Path(directory) / "data" / "endpoints.json"
        deadline = time.monotonic() + _READY_TIMEOUT_S
        while not endpoints.exists():
            if not child.running or time.monotonic() > deadline:
                raise TimeoutError(log.read_text()[-3000:])
            time.sleep(0.1)
        try:
            yield json.loads(endpoints.read_text())
        finally:
            child.terminate()
            child.wait(15)
