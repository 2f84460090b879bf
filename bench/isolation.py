"""Twenty destinations in one forwarder: their speed and its memory, with and without bad ones."""

import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
from confluent_kafka import Producer

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from auditbus.deploy.local.probes import http_answers
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from bench.broker import kafka
from bench.report import Measured

_RATE = int(os.environ.get("AUDITBUS_BENCH_ISOLATION_RATE", "2000"))
_SECONDS = int(os.environ.get("AUDITBUS_BENCH_ISOLATION_SECONDS", "30"))
_DESTINATIONS, _BAD = 20, ("hole", "slow", "refuse")
_DEADLINE_S = 600.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_SECRET = "whsec_" + "QUJD" * 11


@dataclass(frozen=True, slots=True)
class _Run:
    """Rates in events a second, of the slowest of the good destinations."""

    published_rate: float
    paced_rate: float
    paced_behind_s: float
    full_rate: float
    cpu_us_an_event: float
    rss_start_mb: float
    rss_full_mb: float
    rss_end_mb: float
    rss_peak_mb: float


def run() -> Measured:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name, kafka() as servers:
        alone = _measure(servers, Path(name), "alone.", ())
        beside = _measure(servers, Path(name), "beside.", _BAD)
    return Measured(
        question=(
            f"How fast do {_DESTINATIONS} destinations in one process get {_RATE:,} events/s each, "
            "and what do a black-holed one, one that answers in 30 s and one that refuses "
            "everything change?"
        ),
        figures={
            "published_events_per_s": alone.published_rate,
            "paced_events_per_s_each": alone.paced_rate,
            "paced_behind_s": alone.paced_behind_s,
            "published_events_per_s_beside_bad": beside.published_rate,
            "paced_events_per_s_each_beside_bad": beside.paced_rate,
            "paced_behind_s_beside_bad": beside.paced_behind_s,
            "full_speed_events_per_s_each": alone.full_rate,
            "full_speed_events_per_s_each_beside_bad": beside.full_rate,
            "cpu_us_an_event_a_destination": alone.cpu_us_an_event,
            "rss_mb_idle": beside.rss_start_mb,
            "rss_mb_after_backlog_beside_bad": beside.rss_full_mb,
            "rss_mb_at_end_beside_bad": beside.rss_end_mb,
            "rss_mb_peak": alone.rss_peak_mb,
            "rss_mb_peak_beside_bad": beside.rss_peak_mb,
        },
        demands={
            "paced_events_per_s_each": f"{_RATE:,}, or what bounds it",
            "paced_events_per_s_each_beside_bad": "as published",
            "rss_mb_at_end_beside_bad": "as after the backlog",
        },
        notes=(
            (
                f"Signed webhooks on loopback, one receiver process for all; {_RATE:,} events/s "
                f"of about 800 bytes are published for {_SECONDS} s, if the publisher keeps up; "
                "paced: what the slowest good destination got in the second half of that time, and "
                "how long after it it had all."
            ),
            (
                "full_speed: as many events wait in Kafka, as after an outage. With all in one "
                "process it is bound by one core, as cpu_us says: reading, parsing and signing an "
                "event for one destination."
            ),
            (
                "rss_mb_idle: after one event; after_backlog: once the good ones have caught up, "
                "with forwarder.buffer_mb = 64; "
                f"at_end: {_SECONDS} s later, the bad ones failing all the while."
            ),
        ),
    )


def _measure(servers: str, directory: Path, prefix: str, bad: tuple[str, ...]) -> _Run:
    port, hole, health = free_port(), free_port(), free_port()
    receiver = Child(
        "receiver",
        [sys.executable, "-m", "bench.counting_receiver", str(port), str(hole)],
        environment=dict(os.environ),
        log=directory / f"{prefix}receiver.log",
    )
    good = [f"d{number}" for number in range(_DESTINATIONS - len(bad))]
    config = directory / f"{prefix}toml"
    config.write_text("\n".join(_table(name, port, hole) for name in (*good, *bad)))
    environment = {
        "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers,
        "AUDITBUS_KAFKA_TOPIC_PREFIX": prefix,
        "AUDITBUS_FORWARDER_HEALTH_PORT": str(health),
        "AUDITBUS_LOG_LEVEL": "error",
    }
    settings = load_settings(environment)
    create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
    forwarder = Child(
        "forwarder",
        [sys.executable, "-m", "auditbus.console", "forwarder", "--config", str(config)],
        environment={**os.environ, **environment, "BENCH_SECRET": _SECRET},
        log=directory / f"{prefix}forwarder.log",
    )
    url = f"http://{LOOPBACK}:{port}/"
    count = _RATE * _SECONDS

    def slowest() -> int:
        with urllib.request.urlopen(url) as answer:
            counts = json.load(answer)
        return min(int(counts.get(name, 0)) for name in good)

    producer = new_producer(settings.kafka)
    topic = settings.kafka.topics.enriched
    receiver.start()
    try:
        _wait(lambda: http_answers(url))
        _publish(producer, topic, 1)
        with _running(forwarder, lambda: slowest() == 1):
            rss_start = _rss_mb(forwarder)
            # Held while the topic is filled, so that it finds full batches, as after an outage.
            os.kill(forwarder.pid, signal.SIGSTOP)
            _publish(producer, topic, count)
            cpu_s, begun_s = _cpu_s(forwarder), time.perf_counter()
            os.kill(forwarder.pid, signal.SIGCONT)
            _wait(lambda: slowest() > count)
            full_rate = count / (time.perf_counter() - begun_s)
            cpu_s = _cpu_s(forwarder) - cpu_s
            rss_full = _rss_mb(forwarder)
            half = count // 2
            _publish(producer, topic, half, _RATE)
            before, begun_s = slowest(), time.perf_counter()
            _publish(producer, topic, half, _RATE)
            took_s = time.perf_counter() - begun_s
            paced_rate, published_rate = (slowest() - before) / took_s, half / took_s
            begun_s = time.perf_counter()
            _wait(lambda: slowest() > count + 2 * half)
            paced_behind_s = time.perf_counter() - begun_s
            rss_end, rss_peak = _rss_mb(forwarder), _peak_rss_mb(forwarder)
    finally:
        receiver.stop(5)
    return _Run(
        published_rate=published_rate,
        paced_rate=paced_rate,
        paced_behind_s=paced_behind_s,
        full_rate=full_rate,
        cpu_us_an_event=cpu_s / count / len(good) * 1e6,
        rss_start_mb=rss_start,
        rss_full_mb=rss_full,
        rss_end_mb=rss_end,
        rss_peak_mb=rss_peak,
    )


@contextmanager
def _running(forwarder: Child, is_ready: Callable[[], bool]) -> Iterator[None]:
    forwarder.start()
    try:
        _wait(is_ready)
        yield
    finally:
        forwarder.stop(10)


def _table(name: str, port: int, hole: int) -> str:
    to = hole if name == "hole" else port
    timeout_s = 60 if name == "slow" else 5
    return (
        f'[forwarder.destinations.{name}]\ntype = "webhook"\nsecret_env = "BENCH_SECRET"\n'
        f'url = "http://{LOOPBACK}:{to}/{name}"\nallow_private_targets = true\n'
        f"timeout_s = {timeout_s}\nbatch_events = 1000\nbatch_bytes = 1048576\n"
    )


def _publish(producer: Producer, topic: str, count: int, rate: int | None = None) -> None:
    begun_s = time.perf_counter()
    for number in range(count):
        if rate and number % 50 == 0:
            time.sleep(max(0.0, begun_s + number / rate - time.perf_counter()))
        _produce(producer, topic, f"acct-{number % 300}", _event(number))
    assert producer.flush(60) == 0


def _produce(producer: Producer, topic: str, key: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _event(number: int) -> bytes:
    now = format_epoch_ms(time.time_ns() // 1_000_000)
    return orjson.dumps(
        {
            "id": uuid7(),
            "schema_version": 1,
            "action": "StorageDeleted",
            "occurred_at": now,
            "account": {"id": f"acct-{number % 300}", "name": f"Account {number % 300}"},
            "actor": {"type": "user", "id": f"u{number}", "email": f"u{number}@example.org"},
            "targets": [{"type": "storage", "id": f"s{number}", "name": "backups"}],
            "description": f"Deleted storage {number}",
            "context": {"ip": "81.2.69.142", "user_agent": "curl/8.0", "request_id": uuid7()},
            "metadata": {"plan": "pro", "number": number},
            "received_at": now,
            "category": "storage",
            "operation": "delete",
            "location": {"country_code": "GB", "label": "London, United Kingdom"},
            "device": {"type": "tool", "label": "curl 8.0", "browser": "curl"},
            "origin": {"topic": "audit.events", "partition": number % 12, "offset": number},
        }
    )


def _cpu_s(child: Child) -> float:
    fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _rss_mb(child: Child) -> float:
    return int(Path(f"/proc/{child.pid}/statm").read_text().split()[1]) * _PAGE_BYTES / 1e6


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_DEADLINE_S:.0f} s")
        time.sleep(0.1)


def _peak_rss_mb(child: Child) -> float:
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
