"""What streams/transport.py needs of Faust and aiokafka, whose internals it overrides.

When an upgrade breaks one of these, read transport.py's docstring against the new Faust before
the pin in pyproject.toml is moved.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from faust.events import Event
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from auditbus.streams.app import StreamApp
from auditbus.streams.transport import BatchConsumer, settle

PINNED = {"faust-streaming": "0.15.3", "aiokafka": "0.14.0"}
RAW = TP("audit.events", 0)


@pytest.fixture
def consumer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchConsumer]:
    """A consumer that is not started: no broker is needed for what is tested here."""
    loops = []  # Faust's threads make their own, and close them only when they have run

    def new_event_loop() -> asyncio.AbstractEventLoop:
        loops.append(asyncio.DefaultEventLoopPolicy().new_event_loop())
        return loops[-1]

    monkeypatch.setattr(asyncio, "new_event_loop", new_event_loop)
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = StreamApp(
        "contract", broker="auditbus://127.0.0.1:1", datadir=tmp_path, store="memory://"
    )
    app.batch_topics = frozenset({RAW.topic})
    app.topics._acking_topics.add(RAW.topic)
    made = app.consumer
    assert isinstance(made, BatchConsumer)
    yield made
    asyncio.set_event_loop(None)
    for loop in loops:
        loop.close()


class Record:
    """The last record of a batch, as `_to_message` reads it."""

    timestamp = 1
    timestamp_type = 1
    headers = ()
    key = value = b"{}"
    checksum = None
    serialized_key_size = serialized_value_size = 2

    def __init__(self, offset: int) -> None:
        self.topic, self.partition, self.offset = RAW.topic, RAW.partition, offset


def deliver(consumer: BatchConsumer, offset: int) -> Event:
    """Do what `_deliver` does with a batch that ends at `offset`."""
    message = consumer._to_message(RAW, Record(offset))
    message.value = [Record(offset)]
    consumer._delivered[message] = consumer._windows[RAW].deliver(offset + 1)
    message.incref(1)
    return Event(consumer.app, None, message.value, None, message)


@pytest.mark.parametrize("package", PINNED)
def test_the_pinned_version_is_installed(package: str) -> None:
    assert version(package) == PINNED[package]


@pytest.mark.parametrize(
    ("owner", "method", "parameters"),
    [
        (Consumer, "_drain_messages", ["self", "fetcher"]),
        (Consumer, "_new_offset", ["self", "tp"]),
        (Consumer, "_commit", ["self", "offsets"]),
        (Consumer, "ack", ["self", "message"]),
        (Consumer, "perform_seek", ["self"]),
        (Consumer, "on_partitions_revoked", ["self", "revoked"]),
        (Consumer, "on_partitions_assigned", ["self", "assigned", "generation_id"]),
        (Consumer, "_getmany", ["self", "active_partitions", "timeout"]),
        (driver.Consumer, "_to_message", ["self", "tp", "record"]),
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (driver.Consumer, "earliest_offsets", ["self", "partitions"]),
        (driver.Consumer, "seek_wait", ["self", "partitions"]),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
    ],
)
def test_overridden_and_used_methods_have_the_known_parameters(
    owner: Any, method: str, parameters: list[str]
) -> None:
    assert list(inspect.signature(getattr(owner, method)).parameters) == parameters


@pytest.mark.parametrize("attribute", ["_fetch_max_wait_ms", "_isolation_level"])
def test_aiokafka_reads_the_attributes_when_it_starts(attribute: str) -> None:
    assert f"self.{attribute}" in inspect.getsource(aiokafka.AIOKafkaConsumer.start)
    assert f"self.{attribute} = " in inspect.getsource(aiokafka.AIOKafkaConsumer.__init__)


def test_the_scheme_makes_this_transport(consumer: BatchConsumer) -> None:
    assert type(consumer).__module__ == "auditbus.streams.transport"


def test_a_commit_never_passes_a_batch_that_is_not_settled(consumer: BatchConsumer) -> None:
    first, second, third = (deliver(consumer, offset) for offset in (9, 19, 29))
    settle(second)
    settle(third)
    assert consumer._new_offset(RAW) is None, "faust-streaming#312: a fresh group committed 30"
    settle(first)
    assert consumer._new_offset(RAW) == 30
    assert consumer._new_offset(RAW) is None


def test_what_faust_acknowledges_because_it_skipped_it_is_not_committed(
    consumer: BatchConsumer,
) -> None:
    skipped = deliver(consumer, 9)
    skipped.ack()  # as Stream does with a message of an older generation (faust-streaming#216)
    assert consumer._new_offset(RAW) is None


def test_a_late_acknowledgement_does_not_count_for_the_same_offsets_delivered_again(
    consumer: BatchConsumer,
) -> None:
    before = deliver(consumer, 9)
    consumer._windows.clear()  # what an assignment does
    again = deliver(consumer, 9)
    settle(before)
    assert consumer._new_offset(RAW) is None
    settle(again)
    assert consumer._new_offset(RAW) == 10


def test_settled_and_dropped_batches_are_freed(consumer: BatchConsumer) -> None:
    settled, dropped = deliver(consumer, 9), deliver(consumer, 19)
    settle(settled)
    assert settled.message.value is None
    del settled, dropped
    gc.collect()
    assert len(consumer._delivered) == 0
    assert not consumer.unacked


@pytest.fixture
def reading(consumer: BatchConsumer, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """Make `consumer` read from 10 on; what it seeks and hands over is kept."""
    seen: dict[str, list[Any]] = {"seeks": [], "handed": []}

    async def earliest_offsets(*_: TP) -> dict[TP, int]:
        return {RAW: 0}

    async def seek_wait(partitions: dict[TP, int]) -> None:
        seen["seeks"].append(partitions[RAW])

    async def hand_over(message: Any) -> None:
        seen["handed"].append(message)

    for replaced in (earliest_offsets, seek_wait):
        monkeypatch.setattr(consumer, replaced.__name__, replaced)
    monkeypatch.setattr(consumer, "_hand_over", hand_over)
    monkeypatch.setattr(consumer, "highwater", lambda _: 20)
    consumer._active_partitions = {RAW}
    consumer._next_offset[RAW] = 10
    return seen


def run(coroutine: Any) -> Any:
    return asyncio.get_event_loop().run_until_complete(coroutine)


def test_a_skip_that_turned_out_to_be_none_is_not_believed_later(
    consumer: BatchConsumer, reading: dict[str, list[Any]]
) -> None:
    assert not run(consumer._is_continuous(RAW, 15))
    assert run(consumer._is_continuous(RAW, 10)), "the second look shows what was missing"
    assert not run(consumer._is_continuous(RAW, 15)), "a fault shown once, long ago, counted"
    assert reading["seeks"] == [10, 10]


def test_a_rebalance_while_a_gap_is_looked_into_discards_what_was_fetched_before(
    consumer: BatchConsumer, reading: dict[str, list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def getmany(**_: Any) -> dict[TP, list[Record]]:
        return {RAW: [Record(15)]}

    async def earliest_offsets_during_a_rebalance(*_: TP) -> dict[TP, int]:
        consumer.app.consumer_generation_id += 1
        return {RAW: 0}

    monkeypatch.setattr(consumer, "_getmany", getmany)
    monkeypatch.setattr(consumer, "earliest_offsets", earliest_offsets_during_a_rebalance)
    consumer._skips[RAW] = (10, 15)

    run(consumer._drain_once())

    assert not reading["handed"], "records of the old generation are committed in the new one"
    assert reading["seeks"] == [15]
