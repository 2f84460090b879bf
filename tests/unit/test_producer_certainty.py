"""Certainty by action, the stamp, and the metrics of a producer, where no broker answers."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry

from auditbus.producers import (
    AuditProducer,
    DeliveryFailed,
    InvalidEvent,
    ProducerMetrics,
    QueueFull,
    SettingsError,
    Spool,
    WouldBlock,
)
from auditbus.producers.certainty import CertaintyByAction
from auditbus.producers.prometheus import HELP_BY_NAME, register
from auditbus.producers.sequence import Stamp
from auditbus.schemas.event import MAX_EVENT_BYTES
from auditbus.schemas.ids import uuid7
from auditbus.schemas.validation import validate
from tests.pipeline import wait_until

NOBODY = "127.0.0.1:9"
QUIET = {"log_level": 0}


@pytest.fixture
def producer() -> Iterator[AuditProducer]:
    """A producer without a broker, which says who it is."""
    lonely = AuditProducer(
        NOBODY, service="billing", version="1.2", instance="pod-1", options=QUIET
    )
    yield lonely
    with suppress(DeliveryFailed):
        lonely.close(timeout_s=0)


@pytest.fixture
def sent(producer: AuditProducer, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The values that would be handed to librdkafka."""
    taken: list[bytes] = []
    monkeypatch.setattr(producer._outbox, "_admit", lambda _, value: taken.append(value))
    return taken


def test_a_call_wins_over_its_action_and_that_over_the_default() -> None:
    certainty = CertaintyByAction({"Deleted": "fail_closed"}, "acknowledged")
    assert certainty.of("Deleted", None) == "fail_closed"
    assert certainty.of("Login", None) == "acknowledged"
    assert certainty.of(7, None) == "acknowledged"
    assert certainty.of("Deleted", "best_effort") == "best_effort"


def test_an_unknown_certainty_is_named() -> None:
    wrong: Any = "perhaps"
    with pytest.raises(SettingsError, match=r"Deleted: 'perhaps' is none of best_effort"):
        AuditProducer(NOBODY, delivery={"Deleted": wrong})
    with pytest.raises(SettingsError, match="default_delivery"):
        AuditProducer(NOBODY, default_delivery=wrong)


def test_an_unknown_certainty_of_a_call_takes_nothing(producer: AuditProducer) -> None:
    wrong: Any = "perhaps"
    with pytest.raises(SettingsError, match="perhaps"):
        producer.emit(action="Login", delivery=wrong)
    assert producer.metrics().accepted == 0


def test_what_would_block_an_event_loop_is_refused_and_taken_in_a_thread(
    producer: AuditProducer,
) -> None:
    async def serve() -> None:
        with pytest.raises(WouldBlock):
            producer.emit(action="Login", delivery="fail_closed")
        with pytest.raises(WouldBlock):
            producer.emit_and_wait(action="Login")
        assert not (await producer.emit_async(action="Login")).done
        with pytest.raises(DeliveryFailed):
            await producer.emit_async(action="Login", delivery="acknowledged", timeout_s=0.05)

    asyncio.run(serve())
    assert producer.metrics().accepted == 2


def test_the_stamp_counts_what_was_accepted_in_the_order_of_the_queue(
    producer: AuditProducer, sent: list[bytes]
) -> None:
    for number in range(3):
        producer.emit(action="Login", metadata={"n": number})
        with pytest.raises(InvalidEvent):
            producer.emit(action="no action")
    events = [orjson.loads(value) for value in sent]
    assert [event["producer"]["seq"] for event in events] == [1, 2, 3]
    stamp = events[0]["producer"]
    assert (stamp["service"], stamp["version"], stamp["instance"]) == ("billing", "1.2", "pod-1")
    assert stamp["epoch"] < 2**53
    assert validate(sent[0]).producer is not None  # each key once, strictly read


def test_an_event_that_was_refused_uses_no_number() -> None:
    options = {**QUIET, "queue.buffering.max.messages": 2}
    producer = AuditProducer(NOBODY, options=options)
    for _ in range(2):
        producer.emit(action="Login")
    for _ in range(3):
        with pytest.raises(QueueFull):
            producer.emit(action="Login")
    outbox = producer._outbox
    assert outbox is not None
    assert outbox._seq == 2
    with suppress(DeliveryFailed):
        producer.close(timeout_s=0)


def test_many_threads_share_one_sequence(producer: AuditProducer, sent: list[bytes]) -> None:
    def emit() -> None:
        for _ in range(500):
            producer.emit(action="Login")

    threads = [threading.Thread(target=emit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    numbers = [orjson.loads(value)["producer"]["seq"] for value in sent]
    assert numbers == list(range(1, 4_001))


def test_an_event_with_a_stamp_of_its_own_keeps_it_and_takes_no_number(
    producer: AuditProducer, sent: list[bytes]
) -> None:
    own = {"service": "elsewhere", "seq": 7}
    producer.emit({"action": "Login", "producer": own})
    producer.emit({"action": "Login", "producer": None})
    stamps = [orjson.loads(value)["producer"] for value in sent]
    assert stamps[0] == own
    assert stamps[1]["seq"] == 1
    assert sent[1].count(b'"producer"') == 1


def test_the_limit_counts_the_stamp_and_names_the_largest_field(
    producer: AuditProducer, sent: list[bytes]
) -> None:
    producer.emit(action="Login", description="")
    room = MAX_EVENT_BYTES - len(sent[0])
    fits = room - 16  # the stamp is reckoned with its longest number
    producer.emit(action="Login", description="x" * fits)
    assert MAX_EVENT_BYTES - 17 <= len(sent[1]) <= MAX_EVENT_BYTES
    with pytest.raises(InvalidEvent) as refused:
        producer.emit(action="Login", description="x" * (room + 1))
    assert refused.value.field == "description"


def test_instances_and_epochs_differ_and_names_of_files_are_safe() -> None:
    first, second = Stamp(None, None, None), Stamp(None, None, None)
    assert first.instance != second.instance
    assert Stamp(None, None, "../../etc/ü x").slug.count("/") == 0


def test_metrics_are_read_by_prometheus_under_their_names(producer: AuditProducer) -> None:
    registry = CollectorRegistry()
    register(producer, registry)
    producer.emit(action="Login")
    assert registry.get_sample_value("audit_producer_events_total", {"outcome": "accepted"}) == 1
    assert registry.get_sample_value("audit_producer_waiting_events") == 1
    assert registry.get_sample_value("audit_producer_spooled_events") == 0
    oldest_s = registry.get_sample_value("audit_producer_oldest_waiting_seconds")
    assert oldest_s is not None
    assert 0 < oldest_s < 60
    names = {item.name for metric in registry.collect() for item in metric.samples}
    assert names == set(HELP_BY_NAME)


def test_the_metrics_of_a_producer_that_is_not_open_yet_open_nothing(
    producer: AuditProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer, "_outbox", None)  # as in a forked process before its first emit
    assert producer.metrics() == ProducerMetrics()
    monkeypatch.undo()


def test_ids_differ_after_a_fork() -> None:
    uuid7()  # the block that both would draw from
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, "".join(uuid7()[14:] for _ in range(200)).encode())
        os._exit(0)
    ours = {uuid7()[14:] for _ in range(200)}
    os.waitpid(child, 0)
    text = os.read(reader, 100_000).decode()
    theirs = {text[at : at + 22] for at in range(0, len(text), 22)}
    assert len(theirs) == 200
    assert ours.isdisjoint(theirs)
    os.close(reader)
    os.close(writer)


_FORKED = """
import os, sys
from auditbus.producers import AuditProducer, Spool
directory = sys.argv[1]
producer = AuditProducer("127.0.0.1:9", spool=Spool(directory), options={"log_level": 0})
pid = os.fork()
if pid == 0:
    if sys.argv[2] == "exec":
        os.execvp("sh", ["sh", "-c", "echo $$; exec sleep 300"])
    print(os.getpid(), flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("kind", ["fork", "exec"])
def test_a_child_does_not_keep_its_dead_parents_lane_locked(tmp_path: Path, kind: str) -> None:
    """flock lives as long as any copy of the descriptor: the child gives its copy up.

    It says its own pid once it has: an heir that looks earlier would have to look again, later.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", _FORKED, str(tmp_path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    child = int(process.stdout.readline())
    try:
        process.kill()
        process.wait()
        os.kill(child, 0)  # it lives on
        (lane,) = tmp_path.iterdir()
        with AuditProducer(NOBODY, spool=Spool(tmp_path), options=QUIET):
            wait_until(lambda: not lane.exists(), deadline_s=30, what="it was adopted: empty")
    finally:
        os.kill(child, 9)
        process.stdin.close()
        process.stdout.close()
