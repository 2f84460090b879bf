"""A Faust transport that delivers each partition's fetch as one message: the stream's speed.

Stock Faust handles one record at a time and reaches a few thousand events a second whatever its
settings. Here a message's value is the list of records that one fetch brought from one partition.
All else stays Faust's: groups, rebalancing, flow control, the commit timer, tables, the web view.

What is overridden, and why; tests/contract/test_faust_contract.py holds Faust to what this needs:

- `Consumer._drain_messages` makes the batches, and does not repeat two faults of the original:
  it marked gaps as acknowledged including the record after the gap (faust-streaming#312), and it
  dropped records below the last offset read, which loses every event of a topic made anew.
- `Consumer._new_offset` commits from `BatchWindow`, not from lists with every single offset.
- `Consumer.ack` counts only what the agent has settled. Faust also acknowledges messages that a
  stream *skips* during a rebalance (faust-streaming#216); those must be read again instead.
- `MemoryRecords` of aiokafka's fetcher also reads what is not UTF-8 in header names.
- aiokafka's `PartitionRecords` wraps each record in an object made in Python; here the records of
  its parser in C go through as they are, which is most of what reading one costs.
- A gap between the committed offset and the first record that retention has deleted stops the
  worker: events are missing, and a person must know.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, cast
from weakref import WeakKeyDictionary

import faust
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher as aiokafka_fetcher
from aiokafka.errors import IllegalStateError
from faust.events import Event
from faust.transport import drivers
from faust.transport.drivers import aiokafka as driver
from faust.types import TP, AppT, Message
from faust.types.tuples import ConsumerMessage

from auditbus.runtime import metrics
from auditbus.runtime.errors import OffsetLost
from auditbus.runtime.logging import get_logger
from auditbus.streams.lenient_records import LenientRecords
from auditbus.streams.records import Record, Records
from auditbus.streams.window import BatchWindow, DeliveredBatch

__all__ = ["SCHEME", "BatchConsumer", "BatchSchema", "BatchTransport", "settle"]

SCHEME = "auditbus"
"""A broker URL with this scheme uses this transport: auditbus://host:port."""

_FETCH_TIMEOUT_S = 1.0
_IDLE_S = 0.01
_STOPPED: tuple[type[BaseException], ...] = (
    *driver.Consumer.consumer_stopped_errors,
    asyncio.CancelledError,
)
# aiokafka has one request to a broker in flight: while it waits for data of idle partitions, new
# data of a partition it does not ask for waits as well. Faust fixes 1,500 ms.
_FETCH_MAX_WAIT_MS = 100

_log = get_logger(__name__)


class BatchSchema(faust.Schema[Any, Any]):
    """Hands the records over as they are."""

    def compile(self, app: AppT, **_: Any) -> Any:
        """Return the decoder Faust calls for each message."""

        async def decode(message: Message, **_: Any) -> Event:
            return Event(app, None, message.value, None, message)

        return decode


def settle(event: Event) -> None:
    """Acknowledge a batch whose every record has been published and confirmed; frees it."""
    event.message.value = None
    event.ack()


class BatchConsumer(driver.Consumer):
    """Faust's consumer with batches for the topics in `app.batch_topics`."""

    logger = logging.getLogger("faust.transport")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._windows: defaultdict[TP, BatchWindow] = defaultdict(BatchWindow)
        # By identity, not by offset: a late acknowledgement from before a rebalance must not
        # count for the same offsets delivered again.
        self._delivered: WeakKeyDictionary[Message, DeliveredBatch] = WeakKeyDictionary()
        self._next_offset: dict[TP, int] = {}
        self._skips: dict[TP, tuple[int, int]] = {}
        self._batch_topics: frozenset[str] = cast("Any", self.app).batch_topics

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def perform_seek(self) -> None:
        """Go back to the committed offsets, as Faust does after every rebalance."""
        self._windows.clear()
        self._next_offset.clear()
        await super().perform_seek()
        self._next_offset.update(
            {tp: offset for tp, offset in self._committed_offset.items() if offset}
        )

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Count it, and let Faust settle what is in hand."""
        metrics.REBALANCES.labels("revoked").inc()
        await super().on_partitions_revoked(revoked)
        for tp in revoked:  # its next owner reports it
            metrics.CONSUMER_LAG.remove(self.app.conf.id, tp.topic, tp.partition)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Forget what was delivered before: it will come again from the committed offset."""
        metrics.REBALANCES.labels("assigned").inc()
        self._windows.clear()
        self._next_offset.clear()
        await super().on_partitions_assigned(assigned, generation_id)
        cast("Any", self.app).has_joined = True

    def ack(self, message: Message) -> bool:
        """Count a batch as settled, unless Faust skipped it (its records are still there)."""
        batch = self._delivered.get(message)
        if batch is not None and message.value is None:
            batch.settled = True
        return bool(super().ack(message))

    def _new_offset(self, tp: TP) -> int | None:
        if tp.topic not in self._batch_topics:
            return super()._new_offset(tp)
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._windows[tp].take_committable()

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        committed = bool(await super()._commit(offsets))
        metrics.OFFSET_COMMITS.labels("ok" if committed else "failed").inc()
        return committed

    def _to_message(self, tp: TP, record: Record) -> ConsumerMessage:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            record.offset,
            record.timestamp / 1000,
            record.timestamp_type,
            cast("Any", record.headers),
            record.key,
            record.value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                await self._drain_once()
        except _STOPPED:
            if not self.app.should_stop:
                raise
        except OffsetLost as error:
            _log.error("offset_lost", error=str(error))  # no stack needed
            await self.crash(error)

    async def _drain_once(self) -> None:
        if not self.flow_active:
            await self.wait(cast("Any", self.can_resume_flow))
            return
        active = self._get_active_partitions()
        if not active:
            await asyncio.sleep(_IDLE_S)
            return
        generation = self.app.consumer_generation_id
        fetched = await self._getmany(active_partitions=active, timeout=_FETCH_TIMEOUT_S)
        if self.flow_active:
            self._report_lag(active)

        def is_current() -> bool:
            return self.flow_active and self.app.consumer_generation_id == generation

        for tp, records in fetched.items():
            first = records[0].offset
            follows = is_current() and await self._is_continuous(tp, first)
            if not is_current():
                # A rebalance began meanwhile. aiokafka has moved on past these records, maybe
                # after Faust's own seek to the committed offset: unless told, it would not
                # fetch them again.
                await self._rewind(tp, first)
            elif follows:
                await self._deliver(tp, records)

    async def _deliver(self, tp: TP, records: Records) -> None:
        self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
        if tp.topic not in self._batch_topics:
            for record in records:
                await self._hand_over(self._to_message(tp, record))
                self._read_offset[tp] = record.offset
            return
        last = records[-1]
        message = self._to_message(tp, last)
        message.value = cast("Any", records)
        self._delivered[message] = self._windows[tp].deliver(last.offset + 1)
        self._next_offset[tp] = last.offset + 1
        self._read_offset[tp] = last.offset
        await self._hand_over(message)

    async def _hand_over(self, message: Message) -> None:
        # Blocks while the agent's queue is full; a rebalance ends the wait.
        await self.wait_first(self.callback(message), self.suspend_flow.wait())

    async def _is_continuous(self, tp: TP, first: int) -> bool:
        """Tell whether a batch that begins at `first` follows what was delivered before.

        Offsets may skip what a transaction or compaction left, but a skip is believed only when
        the same fetch shows it twice: no fault in the handling of a rebalance can lose events.
        """
        if tp.topic not in self._batch_topics:
            return True
        expected = self._next_offset.get(tp)
        if expected is None:  # nothing committed yet: reading begins at the topic's beginning
            expected = self._next_offset[tp] = await self._earliest(tp)
        if first == expected:
            self._skips.pop(tp, None)  # it was none
            return True
        if first < expected:
            # The topic was made anew, or the broker lost its tail: offsets start again.
            _log.warning("offsets_went_back", partition=tp.partition, expected=expected, got=first)
            self._committed_offset[tp] = None
            return True
        earliest = await self._earliest(tp)
        if earliest > expected:
            raise OffsetLost(
                tp.topic,
                tp.partition,
                expected,
                f"the topic now begins at {earliest}: retention has deleted "
                f"{earliest - expected} events unread. Reset the group's offsets to go on",
            )
        if self._skips.pop(tp, None) == (expected, first):
            return True
        self._skips[tp] = (expected, first)
        await self._rewind(tp, expected)
        return False

    def _report_lag(self, partitions: set[TP]) -> None:
        gap = 0
        for tp in partitions:
            end, position = self.highwater(tp), self._next_offset.get(tp)
            if end is None or position is None:  # nothing fetched yet
                continue
            lag = metrics.CONSUMER_LAG.labels(self.app.conf.id, tp.topic, tp.partition)
            lag.set(max(end - position, 0))
            gap += position - (self._committed_offset[tp] or position)
        metrics.UNCOMMITTED_OFFSET_GAP.labels(self.app.conf.id).set(gap)

    async def _earliest(self, tp: TP) -> int:
        return (await self.earliest_offsets(tp)).get(tp, 0)

    async def _rewind(self, tp: TP, offset: int) -> None:
        try:
            await self.seek_wait({tp: offset})
        except IllegalStateError:
            _log.debug("revoked_before_rewind", partition=tp.partition)


class _PlainRecords(aiokafka_fetcher.PartitionRecords):  # type: ignore[misc]  # untyped
    """The records of one fetch of one partition, as the parser yields them."""

    def _consumer_record(self, _tp: object, record: Record) -> Record:
        return record


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """The thread that owns the aiokafka consumer, with two settings Faust does not expose."""

    logger = logging.getLogger("faust.transport")
    # Without a broker aiokafka's stop fails and the thread ends unsaid: mode waits 60 s for it.
    shutdown_timeout = 5.0

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer[Any, Any]:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = _FETCH_MAX_WAIT_MS  # noqa: SLF001
        # Events of a producer's aborted transaction were never said.
        consumer._isolation_level = "read_committed"  # noqa: SLF001
        return consumer


class BatchTransport(driver.Transport):
    """The aiokafka transport with `BatchConsumer`."""

    Consumer = BatchConsumer


# The classes that the fetcher calls.
aiokafka_fetcher.MemoryRecords = LenientRecords
aiokafka_fetcher.PartitionRecords = _PlainRecords
drivers.TRANSPORTS.aliases[SCHEME] = f"{__name__}:{BatchTransport.__name__}"
