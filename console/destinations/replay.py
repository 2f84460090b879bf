"""Send stored events to one destination again, or to a new one for the first time.

How far it went stands in the control topic under `replay/NAME/ID`, the ID made of what was asked
for: the same command again goes on after the last event that was settled, until all are. What was
under way when it was killed comes twice; an event's id tells.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from clickhouse_connect.driver.client import Client as Store

from auditbus.console.destinations.bookmark import Bookmark, Period, Progress, replay_key
from auditbus.console.destinations.courier import Courier
from auditbus.console.destinations.pausing import PauseWatch, check_open
from auditbus.console.destinations.stored import Place, StoredEvents, StoredOriginal
from auditbus.console.query.predicate import Predicate
from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import KafkaSettings
from auditbus.schemas.event import RESERVED_FIELDS
from auditbus.sinks.siem.control import ControlWriter, decode, read_control
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.sender import Sender
from auditbus.sinks.siem.tally import Counts, Tally

__all__ = ["Period", "Replay", "ReplayPlan", "ReplayResult"]

_ORIGIN = "audit.log"
_NOWHERE = -1


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What a replay would do: `total` events in the period, `done` of them by one before.

    `too_old`: how many of them all are older than the destination takes just now. `was_finished`:
    the same was replayed before, to its end.
    """

    since: datetime
    until: datetime
    total: int
    done: int
    too_old: int
    was_finished: bool


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of the events that this run read."""

    read: int
    too_old: int
    counts: Counts


class Replay:
    """One replay. `plan`, then `run`; both raise what the store's client raises."""

    def __init__(
        self,
        kafka: KafkaSettings,
        store: Store,
        destination: Destination,
        wanted: Predicate,
        period: Period,
        *,
        rate: float,
        restart: bool = False,
    ) -> None:
        """Look up whether the same was begun before. `rate` in events a second, 0 without bound.

        `restart` forgets how far it went. Raises DestinationPaused, KafkaUnreachable.
        """
        self._destination = destination
        self._rate = rate
        self._kafka = kafka
        self._key = replay_key(destination.name, wanted, period)
        records = read_control(kafka)
        check_open(records, destination.name)
        found = decode(Progress, records[self._key]) if self._key in records else None
        is_unfinished = found is not None and not found.is_finished and not restart
        self._before = found if is_unfinished else None
        self._was_finished = found is not None and found.is_finished
        if self._before is not None:  # "2h ago" means what it meant when it began
            period = Period(
                _moment(self._before.since_ms), _moment(self._before.until_ms), period.words
            )
        self._period = period
        self._events = StoredEvents(store, wanted, period.since, period.until)
        producer = new_producer(kafka)
        self._letters = DeadLetterWriter(producer, kafka.topics.forwarder_dead_letters)
        self._memory = ControlWriter(producer, kafka.topics.forwarder_control)
        self._tally = Tally()
        self._stop = threading.Event()
        self._too_old = 0
        self._is_cut_short = False

    def plan(self) -> ReplayPlan:
        """Count without sending."""
        oldest = self._oldest()
        return ReplayPlan(
            self._period.since,
            self._period.until,
            self._events.count(),
            self._before.done if self._before else 0,
            0 if oldest is None else self._events.count(occurred_before=oldest),
            self._was_finished,
        )

    def run(self, on_settled: Callable[[int], object]) -> ReplayResult:
        """Send everything that is left, and remember how far it went; blocks until it is settled.

        `on_settled` is called with the count of events that were just settled. Interrupted, or
        refused by the destination, it can be run again. Raises ReplayRefused, ReplayFailed,
        DeliveryFailed, and DestinationPaused where somebody pauses it meanwhile.
        """
        settings = self._destination.settings
        client = self._destination.kind.connect(settings)
        sender = Sender(self._destination, client, self._letters, self._tally)
        courier = Courier(sender, settings, self._stop)
        window = 1 if self._destination.kind.ordered else settings.requests_in_flight
        under_way: deque[tuple[_Slice, Future[bool]]] = deque()
        bookmark = Bookmark(self._memory, self._key, self._period, self._before)
        pool = ThreadPoolExecutor(window)
        pause = PauseWatch(self._kafka, self._destination.name, self._stop)
        try:
            for part in self._paced(self._cut()):
                if self._stop.is_set():
                    break
                under_way.append((part, pool.submit(courier.carry, part.batch)))
                if len(under_way) == window:
                    self._settle(under_way, bookmark, on_settled)
            while under_way:
                self._settle(under_way, bookmark, on_settled)
            pause.check()
            bookmark.finish()
        finally:
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            pause.close()
            client.close()
            bookmark.write()
        done = bookmark.done - (self._before.done if self._before else 0)
        return ReplayResult(done, self._too_old, self._tally.counts)

    def _settle(
        self,
        under_way: deque[tuple[_Slice, Future[bool]]],
        bookmark: Bookmark,
        on_settled: Callable[[int], object],
    ) -> None:
        """Wait for the oldest of those under way: the bookmark moves in order.

        Behind one that was stopped, it stays: what is settled there comes twice.
        """
        part, future = under_way.popleft()
        self._is_cut_short |= not future.result()
        if not self._is_cut_short:
            self._too_old += part.too_old
            bookmark.move(part.read, part.too_old, part.last)
            on_settled(part.read)

    def _cut(self) -> Iterator[_Slice]:
        """Cut what is read into batches as the destination takes them."""
        settings = self._destination.settings
        offset = self._before.done if self._before else 0
        records: list[Record] = []
        size = read = too_old = 0
        last: Place | None = None
        for stored in self._events.read(self._before.after if self._before else None):
            is_full = len(records) >= settings.batch_events or read >= 10 * settings.batch_events
            if last and (is_full or (records and size + len(stored.value) > settings.batch_bytes)):
                yield _Slice(_batch(records), last, read, too_old)
                records, size, read, too_old = [], 0, 0, 0
            last = stored.place
            read += 1
            if self._is_too_old(stored):
                too_old += 1
            else:
                records.append(self._record(stored, offset))
                size += len(stored.value)
            offset += 1
        if last is not None:
            yield _Slice(_batch(records), last, read, too_old)

    def _paced(self, parts: Iterator[_Slice]) -> Iterator[_Slice]:
        """Let no more through than the rate allows, as live events share the destination."""
        free_at = time.monotonic()
        for part in parts:
            self._stop.wait(max(0.0, free_at - time.monotonic()))
            if self._rate:
                free_at = max(free_at, time.monotonic()) + len(part.batch.records) / self._rate
            yield part

    def _record(self, stored: StoredOriginal, offset: int) -> Record:
        """Return the event as the destination's topic has it; offsets number the replay's own."""
        value = stored.value
        if self._destination.settings.topic == "raw":
            fields = orjson.loads(value)
            value = orjson.dumps({k: v for k, v in fields.items() if k not in RESERVED_FIELDS})
        return Record(offset, offset, stored.place.received_ms, stored.account.encode(), value, ())

    def _is_too_old(self, stored: StoredOriginal) -> bool:
        age_s = self._destination.settings.max_event_age_s
        return age_s is not None and stored.occurred_ms < (time.time() - age_s) * 1000

    def _oldest(self) -> datetime | None:
        age_s = self._destination.settings.max_event_age_s
        return None if age_s is None else datetime.now(UTC) - timedelta(seconds=age_s)


@dataclass(frozen=True, slots=True)
class _Slice:
    """A batch, and how many events were read for it, some too old to be in it."""

    batch: Batch
    last: Place
    read: int
    too_old: int


def _batch(records: list[Record]) -> Batch:
    first = records[0].offset if records else _NOWHERE
    return Batch(_ORIGIN, _NOWHERE, records, attempts=0, suspect=False, first=first)


def _moment(moment_ms: int) -> datetime:
    return datetime.fromtimestamp(moment_ms / 1000, UTC)
