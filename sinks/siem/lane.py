"""One assigned partition of one destination: what is read, what is in a request, what is settled.

A lane lives from the assignment of its partition to the revocation; the same partition assigned
again gets a new lane. So an answer that comes late carries a lane that is no longer in use, and is
told apart from one for the partition as it is now.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.records import Batch, Record, ranges
from auditbus.sinks.siem.watermark import Watermark

__all__ = ["Lane", "Limits"]

_SEEK_AGAIN_S = 5.0
# What an event costs beyond its value: about so much in Python's objects.
_RECORD_BYTES = 400


@dataclass(frozen=True, slots=True)
class Limits:
    """How batches are cut. `ordered`: one request at a time, so a partition keeps its order."""

    batch_events: int
    batch_bytes: int
    linger_s: float
    ordered: bool


@dataclass(frozen=True, slots=True, order=True)
class _Cut:
    """Where a batch that is sent again must end: the same cut gives the same id and bytes."""

    last: int
    attempts: int = field(compare=False)
    suspect: bool = field(compare=False)
    timestamp_ms: int = field(compare=False)


class Lane:
    """Not thread-safe: it belongs to the destination's consumer thread. Times are monotonic."""

    def __init__(
        self, topic: str, partition: int, start: int, *, limits: Limits, backoff: Backoff
    ) -> None:
        """Begin at offset `start`."""
        self.topic = topic
        self.partition = partition
        self.watermark = Watermark(start)
        self.first = start
        self.committed = start
        self.paused = False
        self._limits = limits
        self._backoff = backoff
        self._buffer: deque[Record] = deque()
        self._buffer_bytes = 0
        self._buffer_since = 0.0
        self._read_next = start
        self._frontier = start  # no record at or above it was ever read
        self._expected: int | None = None
        self._seek_to: int | None = None
        self._sought_at = 0.0
        self._not_before = 0.0
        self._cuts: list[_Cut] = []
        self._flying: dict[int, int] = {}  # first offset of each request's batch: its timestamp

    def admit(self, offset: int) -> int | None:
        """Return the `start` of the record at `offset`, or None where it must not be added.

        After a rewind nothing counts before the record that was asked for: what the client had
        fetched before the seek must not pass for a gap in the offsets. Where only some of a batch
        is sent again, its neighbours are read once more and left out here.
        """
        if offset < self._read_next:
            return None
        if self._expected is not None:
            if offset != self._expected:
                return None
            self._expected = None
        start, self._read_next = self._read_next, offset + 1
        if offset >= self._frontier:
            self._frontier = offset + 1
            return start
        return start if self.watermark.is_open(offset) else None

    def add(self, record: Record, now: float) -> None:
        """Take in one record that was admitted."""
        if not self._buffer:
            self._buffer_since = now
        self._buffer.append(record)
        self._buffer_bytes += record.size

    def is_ready(self, now: float, *, over: bool = False) -> bool:
        """Whether a batch can be taken now; `over`: no more is read, so none grows by waiting."""
        while self._cuts and self._is_spent(self._cuts[0]):
            self._cuts.pop(0)
        if not self._buffer or now < self._not_before or (self._limits.ordered and self._flying):
            return False
        if self._cuts:
            return self._read_next > self._cuts[0].last
        return over or self._is_full() or now - self._buffer_since >= self._limits.linger_s

    def take(self) -> Batch:
        """Cut the next batch off what was read; call only when `is_ready`."""
        cut = self._cuts.pop(0) if self._cuts else None
        records = self._pop(cut.last if cut else None)
        for start, end in ranges(records):
            self.watermark.take(start, end)
        self._flying[records[0].offset] = records[0].timestamp_ms
        attempts, suspect = (cut.attempts, cut.suspect) if cut else (0, False)
        first = records[0].offset
        return Batch(self.topic, self.partition, records, attempts, suspect, first)

    def settle(self, records: Sequence[Record]) -> None:
        """Note records as acknowledged or dead-lettered."""
        for start, end in ranges(records):
            self.watermark.settle(start, end)

    def land(self, batch: Batch) -> None:
        """Note that the request for `batch` is over."""
        self._flying.pop(batch.first, None)

    def succeed(self) -> None:
        """Forget past failures."""
        self._backoff.reset()

    def retry(self, batch: Batch, again: Sequence[Record], now: float) -> None:
        """Read `again` (in order, not empty) from Kafka once more, after a backoff.

        Of many requests that fail together, one counts for the backoff.
        """
        attempts = batch.attempts + 1
        self._plan(again, attempts, suspect=batch.suspect)
        if now >= self._not_before:
            self._not_before = now + self._backoff.next_delay_s()
        self._rewind(again)

    def retry_now(self) -> None:
        """Wait no longer for the next try."""
        self._backoff.reset()
        self._not_before = 0.0

    def split(self, again: Sequence[Record]) -> None:
        """Send `again` (two records or more) in halves, to find what its refusal is about."""
        middle = len(again) // 2
        for half in (again[:middle], again[middle:]):
            self._plan(half, 0, suspect=True)
        self._rewind(again)

    def shed(self) -> None:
        """Drop what is read and not in a request, to be read again: the destination is down."""
        if self._buffer:
            self._rewind(list(self._buffer))

    def take_seek(self, now: float) -> int | None:
        """Return the offset that the consumer must seek to: once, and again if nothing comes.

        After a seek everything but the record asked for is turned away. Should the client go on
        elsewhere, in a rebalance or an error of its own, that would be for ever.
        """
        overdue = self._expected is not None and now - self._sought_at > _SEEK_AGAIN_S
        if self._seek_to is None and overdue and not self.paused:
            self._seek_to = self._expected
        offset, self._seek_to = self._seek_to, None
        if offset is not None:
            self._sought_at = now
        return offset

    def wants_pause(self, now: float, *, over: bool = False) -> bool:
        """Whether to stop fetching; with some slack, as every pause throws away what is fetched.

        `over`: the destination holds too much, so only what is to be sent again may be read.
        """
        if now < self._not_before:
            return True
        if self._cuts:
            return self._read_next > self._cuts[0].last
        if over:
            return True
        return self._is_full() if self.paused else self._is_full(batches=2)

    @property
    def held_bytes(self) -> int:
        """Bytes of what is read and not yet in a request."""
        return self._buffer_bytes + len(self._buffer) * _RECORD_BYTES

    @property
    def gap(self) -> int:
        """How many offsets are read and not committed."""
        return max(self._read_next - self.committed, 0)

    @property
    def read_next(self) -> int:
        """The offset after the last record read."""
        return self._read_next

    @property
    def oldest_ms(self) -> int | None:
        """The broker's timestamp of the oldest event that is read and not settled."""
        waiting = [*self._flying.values(), *(cut.timestamp_ms for cut in self._cuts)]
        if self._buffer:
            waiting.append(self._buffer[0].timestamp_ms)
        return min(waiting, default=None)

    def _plan(self, records: Sequence[Record], attempts: int, *, suspect: bool) -> None:
        insort(self._cuts, _Cut(records[-1].offset, attempts, suspect, records[0].timestamp_ms))

    def _rewind(self, records: Sequence[Record]) -> None:
        for start, end in ranges(records):
            self.watermark.release(start, end)
        first = records[0]
        if first.start < self._read_next:
            if self._buffer and self._buffer[0].start < first.start:
                first = self._buffer[0]  # it is dropped as well: it must be read again, too
            self._buffer.clear()
            self._buffer_bytes = 0
            self._read_next, self._expected = first.start, first.offset
            self._seek_to = first.offset

    def _is_spent(self, cut: _Cut) -> bool:
        """Whether all of a planned batch was read, and none of it is open any more."""
        nothing_left = not self._buffer or self._buffer[0].offset > cut.last
        return self._read_next > cut.last and nothing_left

    def _is_full(self, batches: int = 1) -> bool:
        return (
            len(self._buffer) >= batches * self._limits.batch_events
            or self._buffer_bytes >= batches * self._limits.batch_bytes
        )

    def _pop(self, last: int | None) -> tuple[Record, ...]:
        """Remove the next batch: up to offset `last`, else up to the limits; never empty."""
        records: list[Record] = []
        size = 0
        while self._buffer:
            record = self._buffer[0]
            record_size = record.size
            if last is not None:
                if record.offset > last:
                    break
            elif records and (
                size + record_size > self._limits.batch_bytes
                or len(records) >= self._limits.batch_events
            ):
                break
            records.append(self._buffer.popleft())
            size += record_size
        self._buffer_bytes -= size
        return tuple(records)
