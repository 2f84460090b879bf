"""The Faust worker against a plain confluent-kafka loop: same data, same work, in one run."""

import os
import random
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from auditbus.deploy.local.child import Child
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.schemas import uuid7
from bench.broker import kafka
from bench.report import Measured

EVENTS = int(os.environ.get("AUDITBUS_BENCH_STREAM_EVENTS", "300000"))
PAIRS = int(os.environ.get("AUDITBUS_BENCH_STREAM_PAIRS", "5"))
_DEADLINE_S = 120.0
_COMMANDS = {
    "plain": [sys.executable, "-m", "bench.plain_loop"],
    "tuned": [sys.executable, "-m", "bench.plain_loop", "tuned"],
    "worker": [sys.executable, "-m", "auditbus.console", "stream"],
}


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's run: events a second, CPU µs an event, peak resident MB."""

    events_per_s: float
    cpu_us_per_event: float
    peak_mb: float


def run() -> Measured:
    with kafka() as servers, TemporaryDirectory() as directory:
        environment = {
            "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers,
            "AUDITBUS_STREAM_HEALTH_PORT": "0",
            "AUDITBUS_DATA_DIR": directory,
        }
        settings = load_settings(environment)
        create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
        size = _publish(settings)
        contest = Contest(settings, environment, Path(directory))
        pairs = []
        for number in range(PAIRS):
            # Taking turns in going first: what one leaves in the page cache serves the other.
            order = list(_COMMANDS)[:: 1 if number % 2 == 0 else -1]
            pairs.append({name: contest.measure(name) for name in order})
            print(f"  round {number + 1} of {PAIRS}: {pairs[-1]}", file=sys.stderr)
    return _report(pairs, size)


def _publish(settings: Settings) -> int:
    """Fill the raw topic; returns the mean size of an event in bytes."""
    chance = random.Random(1)  # the same data in every run
    producer = new_producer(settings.kafka)
    total = 0
    for number in range(EVENTS):
        user = chance.randrange(5_000)
        value = orjson.dumps(_event(number, user, chance))
        total += len(value)
        while True:
            try:
                producer.produce(settings.kafka.topics.events, value, f"account-{user % 300}")
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(120) == 0
    return total // EVENTS


def _event(number: int, user: int, chance: random.Random) -> dict[str, object]:
    actions = ("RepositoryUpdated", "ScheduleUpdated", "StorageDeleted", "BackupTriggered")
    return {
        "id": uuid7(),
        "schema_version": 1,
        "action": actions[number % len(actions)],
        "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%S.123Z", time.gmtime()),
        "account": {"id": f"account-{user % 300}", "name": f"Account {user % 300}"},
        "actor": {"type": "user", "id": f"u{user}", "email": f"u{user}@example.org"},
        "targets": [{"type": "repository", "id": str(chance.randrange(10**6))}],
        "description": f"Changed plan {chance.randrange(100)}",
        "context": {
            "ip": f"{81 + user % 8}.{user % 256}.{user * 7 % 256}.{user * 13 % 256}",
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
            f"(KHTML, like Gecko) Chrome/{100 + user % 40}.0.0.0 Safari/537.36",
            "request_id": f"{chance.getrandbits(128):032x}",
        },
    }


class Contest:
    """Runs one contender after the other over the same raw topic."""

    def __init__(self, settings: Settings, environment: dict[str, str], directory: Path) -> None:
        self._settings = settings
        self._environment = {**os.environ, **environment}
        self._directory = directory
        self._admin: AdminClient = new_admin(settings.kafka)

    def measure(self, name: str) -> Run:
        """Time from the first enriched event seen to the last, as the output topic shows it."""
        self._forget_offsets()
        before = self._enriched()
        child = Child(
            name,
            _COMMANDS[name],
            environment=self._environment,
            log=self._directory / f"{name}.log",
        )
        child.start()
        first, first_count = self._wait_for(before + 1, child)
        cpu_before = _cpu_s(child.pid)
        last, last_count = self._wait_for(before + EVENTS, child)
        cpu_s, peak_mb = _cpu_s(child.pid) - cpu_before, _peak_mb(child.pid)
        child.terminate()
        child.wait(20)
        events = last_count - first_count
        return Run(events / (last - first), cpu_s / events * 1e6, peak_mb)

    def _forget_offsets(self) -> None:
        group = self._settings.kafka.group("stream")
        end = time.monotonic() + 30
        while True:
            futures = self._admin.delete_consumer_groups([group])
            try:
                futures[group].result(10)
            except Exception as error:  # not there yet, or its member just leaves
                if "NOT_FOUND" in str(error):
                    return
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def _enriched(self) -> int:
        topic = self._settings.kafka.topics.enriched
        request = {
            TopicPartition(topic, number): OffsetSpec.latest()
            for number in range(self._settings.kafka.partitions)
        }
        return sum(f.result(10).offset for f in self._admin.list_offsets(request).values())

    def _wait_for(self, count: int, child: Child) -> tuple[float, int]:
        end = time.monotonic() + _DEADLINE_S
        while (seen := self._enriched()) < count:
            if not child.running or time.monotonic() > end:
                log = self._directory / f"{child.name}.log"
                raise TimeoutError(f"{child.name}: {seen} of {count}\n{log.read_text()[-2000:]}")
            time.sleep(0.01)
        return time.monotonic(), seen


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    peak_kb = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))
    return int(peak_kb) / 1024


def _report(pairs: list[dict[str, Run]], size: int) -> Measured:
    def ratios(peer: str) -> list[float]:
        return [pair["worker"].events_per_s / pair[peer].events_per_s for pair in pairs]

    def median(name: str, field: str) -> float:
        return statistics.median(getattr(pair[name], field) for pair in pairs)

    return Measured(
        question="How fast is a stream worker next to a plain confluent-kafka loop?",
        figures={
            "worker_to_plain_ratio": statistics.median(ratios("plain")),
            "worker_to_plain_ratio_least": min(ratios("plain")),
            "worker_to_tuned_plain_ratio": statistics.median(ratios("tuned")),
            "worker_events_per_s": median("worker", "events_per_s"),
            "plain_events_per_s": median("plain", "events_per_s"),
            "worker_cpu_us_per_event": median("worker", "cpu_us_per_event"),
            "plain_cpu_us_per_event": median("plain", "cpu_us_per_event"),
            "worker_peak_mb": max(pair["worker"].peak_mb for pair in pairs),
            "plain_peak_mb": max(pair["plain"].peak_mb for pair in pairs),
        },
        demands={"worker_to_plain_ratio": "at least 0.8", "worker_peak_mb": "under 300"},
        notes=(
            (
                f"{PAIRS} interleaved rounds over the same {EVENTS:,} events of {size} bytes, 12 "
                "partitions; medians. One broker on the same machine takes its share of the cores."
            ),
            "Rate between the first and the last enriched event that the broker shows.",
            (
                "Both validate, enrich from the real location database, publish a quarter of the "
                "events to the signals as well, flush every 10,000 events and commit after it. The "
                "worker tunes Python's garbage collection; the plain loop keeps its defaults, the "
                "tuned one does as the worker."
            ),
        ),
    )
