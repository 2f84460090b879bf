"""Fault 23: a spool or a disk that is full refuses loudly, and keeps what it took."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from auditbus.producers import AuditProducer, QueueFull, Spool, SpoolFull
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.oracle import judge
from tests.pipeline import wait_until
from tests.producing import (
    assert_complete,
    assert_gapless,
    assert_in_order,
    emit_numbered,
    events_of,
    ids_until_all,
    kill,
    quiet_producer,
)

_ROOT = Path(__file__).parents[2]


def test_23_a_spool_that_is_full_refuses_loudly_and_keeps_what_it_took(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    fresh_kafka.kill()
    producer = quiet_producer(settings, spool=Spool(spool, max_bytes=200_000, after_s=0.3))
    emitted = _fill(producer)
    assert producer.metrics().spooled_bytes <= 200_000
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_bytes == 0, deadline_s=60, what="it drains")
    emitted.append(emit_numbered(producer, 1_000_000).id)  # there is room again
    producer.close()
    assert_complete(settings, emitted)


def _fill(producer: AuditProducer) -> list[str]:
    """Emit until it is refused, thrice; return the ids of what was taken."""
    first = emit_numbered(producer, 0)
    first.wait(30)
    assert first.spooled
    emitted = [first.id]
    for number in range(1, 100_000):
        try:
            emitted.append(emit_numbered(producer, number).id)
        except QueueFull as refused:
            assert isinstance(refused, SpoolFull)  # noqa: PT017
            break
    for number in range(3):
        with pytest.raises(SpoolFull):
            producer.emit(action="Login", metadata={"n": number, "more": "x" * 1_000})
    return emitted


_TINY_DISK = """
import os, sys, resource
sys.path.insert(0, os.getcwd())
from auditbus.producers import AuditProducer, Spool, SpoolFull
servers, directory = sys.argv[1:]
producer = AuditProducer(servers, spool=Spool(directory, after_s=0.3), options={"log_level": 0})
first = producer.emit(action="Login", account={"id": "a"}, metadata={"n": 0})
first.wait(30)
print(first.id)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for number in range(1, 10_000):
    try:
        print(producer.emit(action="Login", account={"id": "a"}, metadata={"n": number}).id)
    except SpoolFull as full:
        print(full, file=sys.stderr)
        break
print("all", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    path = tmp_path / "tiny"
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(path)]
    mounted = subprocess.run(words, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_23_a_disk_that_is_full_refuses_loudly_and_what_was_taken_is_kept(
    fresh_kafka: Kafka, settings: Settings, tiny_disk: Path
) -> None:
    fresh_kafka.kill()
    producer = quiet_producer(settings, spool=Spool(tiny_disk, after_s=0.3))
    emitted = _fill(producer)
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_bytes == 0, deadline_s=60, what="it drains")
    emitted.append(emit_numbered(producer, 1_000_000).id)
    producer.close()
    assert_complete(settings, emitted)


def test_23_a_disk_that_is_full_when_kafka_goes_keeps_in_memory_what_was_taken(
    fresh_kafka: Kafka, settings: Settings, tiny_disk: Path
) -> None:
    producer = quiet_producer(settings, spool=Spool(tiny_disk, after_s=0.3))
    emit_numbered(producer, 0, delivery="fail_closed", timeout_s=60)
    outbox: Any = producer._outbox
    # The first connection may have taken longer than after_s: straight to Kafka from here on.
    wait_until(outbox._live.is_set, deadline_s=30, what="it is live")
    with (tiny_disk / "somebody else's").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):  # to the last byte
            pass
    fresh_kafka.kill()
    emitted = [emit_numbered(producer, number).id for number in range(1, 1_000)]
    wait_until(lambda: not outbox._live.is_set(), deadline_s=30, what="it is noticed")
    emitted += [emit_numbered(producer, number).id for number in range(1_000, 1_500)]
    fresh_kafka.start()
    wait_until(
        lambda: producer.metrics().acknowledged >= 1_500, deadline_s=60, what="all acknowledged"
    )
    producer.close()
    events = events_of(settings, 1_500)
    found = [event["id"] for event in events if event["metadata"]["n"]]
    assert judge(emitted, found).missing == []
    assert_in_order(events)
    assert_gapless(events)


def test_23_a_write_that_fails_in_the_middle_leaves_a_whole_spool(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """The kernel refuses beyond RLIMIT_FSIZE, in the midst of a frame."""
    fresh_kafka.kill()
    process = subprocess.Popen(
        [sys.executable, "-c", _TINY_DISK, settings.kafka.bootstrap_servers, str(spool)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    emitted = ids_until_all(process)
    assert process.stderr is not None
    kill(process)
    assert "File too large" in process.stderr.read()
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    fresh_kafka.start()
    with quiet_producer(settings, spool=Spool(spool)):
        pass  # adopts, drains, ends
    assert len(emitted) > 100
    assert_complete(settings, emitted)
