"""What the fault tests of the SDK share: producers, numbered events, and what reached the topic."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Message

from auditbus.producers import AuditProducer, Delivery
from auditbus.runtime.settings import Settings
from tests.oracle import ALL_WELL, judge
from tests.pipeline import read_topic

TOPIC = "audit.events"

QUIET = {"log_level": 0}


def quiet_producer(settings: Settings, **more: Any) -> AuditProducer:
    options = {**QUIET, **more.pop("options", {})}
    return AuditProducer(settings.kafka.bootstrap_servers, options=options, **more)


def emit_numbered(producer: AuditProducer, number: int, **more: Any) -> Delivery:
    return producer.emit(
        action="Login", account={"id": f"a{number % 7}"}, metadata={"n": number}, **more
    )


def events_of(settings: Settings, count: int, deadline_s: float = 60) -> list[dict[str, Any]]:
    """Read the topic until it holds `count` different ids, or the deadline."""
    messages = read_topic(
        settings,
        TOPIC,
        until=lambda found: len(found) >= count and len(ids_of(decoded(found))) >= count,
        deadline_s=deadline_s,
    )
    return decoded(messages)


def decoded(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [orjson.loads(message.value() or b"") for message in messages]


def ids_of(events: Iterable[dict[str, Any]]) -> set[str]:
    return {event["id"] for event in events}


def first_copies(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    seen: set[str] = set()
    return [e for e in events if e["id"] not in seen and not seen.add(e["id"])]  # type: ignore[func-returns-value]


def assert_in_order(events: Sequence[dict[str, Any]]) -> None:
    """First copies, per account, in the order in which they were emitted."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in first_copies(events):
        numbers[event["account"]["id"]].append(event["metadata"]["n"])
    for account, found in numbers.items():
        assert found == sorted(found), account


def assert_gapless(events: Iterable[dict[str, Any]]) -> None:
    """`seq` without a gap per (instance, epoch)."""
    found: dict[tuple[str, int], set[int]] = defaultdict(set)
    for event in events:
        stamp = event["producer"]
        found[stamp["instance"], stamp["epoch"]].add(stamp["seq"])
    assert found
    for key, numbers in found.items():
        assert numbers == set(range(1, len(numbers) + 1)), key


def assert_complete(
    settings: Settings, emitted: Sequence[str], *, may_repeat: bool = False
) -> list[dict[str, Any]]:
    events = events_of(settings, len(emitted))
    findings = judge(emitted, [event["id"] for event in events])
    if may_repeat:
        assert findings.missing == []
        assert findings.unexpected == []
    else:
        assert findings == ALL_WELL
    assert_in_order(events)
    assert_gapless(events)
    return events


def is_empty(directory: Path) -> bool:
    return not list(directory.glob("*/*.seg"))


def spawn(program: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, text=True
    )


def ids_until_all(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    ids = [line.strip() for line in iter(process.stdout.readline, "all\n") if line]
    assert process.poll() is None
    return ids


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
