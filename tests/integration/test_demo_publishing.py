"""`python -m auditbus.deploy.local.demo` against a real broker: its rate, its end, its patience."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from auditbus.deploy.local.demo.publisher import Publisher
from auditbus.deploy.local.demo.traffic import Traffic
from auditbus.producers import AuditProducer
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka

PARTITIONS = 3


def settings(kafka: Kafka, prefix: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers, topic_prefix=prefix, partitions=PARTITIONS
    )


def create(kafka: KafkaSettings) -> None:
    create_topics(new_admin(kafka), specs_for(kafka))


@contextmanager
def demo(kafka: KafkaSettings, rate: float, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {
        "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "AUDITBUS_KAFKA_TOPIC_PREFIX": kafka.topic_prefix,
        "AUDITBUS_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "auditbus.deploy.local.demo", "--rate", str(rate)]
    with log.open("wb") as stderr, subprocess.Popen(command, env=environment, stderr=stderr) as run:
        try:
            yield run
        finally:
            run.kill()


class Reader:
    """Reads the raw topic from its beginning, everything once."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.events: list[dict[str, Any]] = []
        self._consumer = Consumer(
            {"bootstrap.servers": kafka.bootstrap_servers, "group.id": "unused"}
        )
        topic = kafka.topics.events
        self._consumer.assign([TopicPartition(topic, n, 0) for n in range(PARTITIONS)])

    def read_until(self, count: int, deadline_s: float = 30) -> None:
        deadline = time.monotonic() + deadline_s
        while len(self.events) < count:
            assert time.monotonic() < deadline, f"{len(self.events)} of {count} events"
            for message in self._consumer.consume(1_000, timeout=0.2):
                if message.error() is None:
                    self.events.append(json.loads(message.value() or b""))

    def close(self) -> None:
        self._consumer.close()


def stop(run: subprocess.Popen[bytes]) -> int:
    run.send_signal(signal.SIGTERM)
    return run.wait(timeout=10)


def final_counts(log: Path) -> dict[str, int]:
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    last = next(line for line in lines if line["event"] == "demo_stopped")
    return {name: last[name] for name in ("emitted", "acknowledged", "failed")}


def test_it_publishes_evenly_and_all_of_it_on_sigterm(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    here = settings(kafka, unique_prefix)
    create(here)
    reader = Reader(here)
    with demo(here, 200, tmp_path / "log") as run:
        reader.read_until(900)
        assert stop(run) == 0
    counts = final_counts(tmp_path / "log")
    reader.read_until(counts["emitted"])
    reader.close()
    assert counts == {
        "emitted": len(reader.events),
        "acknowledged": len(reader.events),
        "failed": 0,
    }
    assert len({event["id"] for event in reader.events}) == len(reader.events)
    a_second = Counter(event["occurred_at"][:19] for event in reader.events)
    whole = [count for _, count in sorted(a_second.items())[1:-1]]
    assert sum(whole) / len(whole) == pytest.approx(200, rel=0.05)
    assert min(whole) > 150, "evenly, not in bursts"
    assert len({event["action"] for event in reader.events}) == 41


def test_it_survives_kafka_being_away(
    fresh_kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    here = settings(fresh_kafka, unique_prefix)
    create(here)
    reader = Reader(here)
    with demo(here, 100, tmp_path / "log") as run:
        reader.read_until(100)
        fresh_kafka.kill()
        fresh_kafka.start()
        reader.read_until(len(reader.events) + 300)
        assert run.poll() is None
        assert stop(run) == 0
    counts = final_counts(tmp_path / "log")
    reader.read_until(counts["emitted"])
    reader.close()
    assert counts["acknowledged"] == counts["emitted"] == len(reader.events)
    assert len({event["id"] for event in reader.events}) == len(reader.events)


def test_without_kafka_it_ends_in_time_and_says_what_was_lost(tmp_path: Path) -> None:
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with demo(nobody, 50, tmp_path / "log") as run:
        deadline = time.monotonic() + 20
        while b"demo_started" not in (tmp_path / "log").read_bytes():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert stop(run) == 3
    assert final_counts(tmp_path / "log")["acknowledged"] == 0


def test_a_full_queue_is_waited_out_with_the_event_in_hand() -> None:
    options = {"queue.buffering.max.messages": 10, "log_level": 0}
    producer = AuditProducer("127.0.0.1:1", options=options)
    told = iter(list(islice(Traffic(), 30)))
    publisher = Publisher(producer, told, rate=10_000)
    stop_event = threading.Event()
    thread = threading.Thread(target=publisher.run, args=(stop_event,))
    thread.start()
    try:
        deadline = time.monotonic() + 10
        while publisher.counts.emitted < 10:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        stop_event.set()
        thread.join(timeout=10)
    assert not thread.is_alive(), "a full queue does not keep it from stopping"
    assert publisher.counts.emitted == 10
    assert len(list(told)) == 19, "ten are queued, one is in hand, none was skipped"
    assert publisher.close(timeout_s=0.1) is False
    assert publisher.counts.failed == 10


def test_a_rate_that_is_none_is_wrong_usage() -> None:
    module = [sys.executable, "-m", "auditbus.deploy.local.demo"]
    for rate in ("0", "-1", "nan", "many"):
        run = subprocess.run(
            [*module, "--rate", rate], capture_output=True, timeout=30, check=False
        )
        assert run.returncode == 2
        assert b"--rate" in run.stderr
