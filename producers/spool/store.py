"""What lies in the spool, in order: appended by `emit`, read by the drain, deleted by Kafka's word.

```text
 oldest                                                            newest
 [segment ✓✓✓✓] [segment ✓✓··] [segment ··    ] … [segment        ]
  ▲ all answered: delete              ▲ reader: handed over up to here  ▲ append
```

Segments of dead processes are adopted at the start, before this process's own, or later. `append`
is called by any thread, one at a time (the outbox's lock); the rest by the outbox's own thread.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from auditbus.producers.delivery import DeliveryLedger
from auditbus.producers.spool.files import Segment, adopted, read_frames
from auditbus.producers.spool.handover import Handover
from auditbus.producers.spool.lane import Lane
from auditbus.producers.spool.options import Spool
from auditbus.producers.spool.writer import SegmentWriter
from auditbus.runtime.errors import SettingsError, SpoolFull

__all__ = ["Record", "SpoolStore"]

_log = logging.getLogger("auditbus.producers")
_MIN_SEGMENT_BYTES, _MAX_SEGMENT_BYTES = 64 * 1024, 4 * 1024 * 1024

Record = tuple[str, bytes, bytes, Handover]
"""Topic, value, key, and what takes the delivery report."""


class SpoolStore:
    """The spool of one process: its own lane, and those it has adopted."""

    def __init__(self, options: Spool, topic: str, name: str, ledger: DeliveryLedger) -> None:
        """Make the directory and a lane called `name` in it. Raises SettingsError."""
        self._options = options
        self._ledger = ledger
        self._directory = Path(options.directory)
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lane = Lane.create(self._directory, name)
        except OSError as error:
            raise SettingsError(f"Spool directory: {error}") from error
        # The list of segments, their bytes and descriptors. Re-entrant for the sake of a signal
        # handler that emits while its own thread syncs.
        self._lock = threading.RLock()
        self._writer = SegmentWriter(
            self._lane,
            topic,
            self._lock,
            self._begun,
            segment_bytes=min(max(options.max_bytes // 16, _MIN_SEGMENT_BYTES), _MAX_SEGMENT_BYTES),
            sync_at_once=not options.sync_s,
        )
        self._segments: list[Segment] = []
        self._reading, self._offset = 0, 0
        self._claimed: list[Lane] = []
        self._passed = 0  # frames of the segment being read that lie before the offset
        self.bytes = 0

    @property
    def events(self) -> int:
        """How many events wait on disk for Kafka's answer."""
        return sum(segment.waiting for segment in tuple(self._segments))

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest segment was begun, in ms since 1970; None where nothing waits."""
        return next((s.first_ms for s in tuple(self._segments) if s.waiting), None)

    # --- writing

    def append(self, data: bytes, count: int, now_ms: int) -> Segment:
        """Write `count` frames at the end, whole or not at all. Raises SpoolFull.

        On return they outlive this process; once `sync` has returned (at once where `sync_s` is
        0), a power cut too.
        """
        with self._lock:
            if self.bytes + len(data) > self._options.max_bytes:
                raise SpoolFull(
                    f"the spool {self._directory} is full: {self.bytes:,} bytes of "
                    f"{self._options.max_bytes:,} (max_bytes)"
                )
            try:
                segment = self._writer.append(data, count, now_ms)
            except OSError as error:
                raise SpoolFull(
                    f"the spool {self._directory} cannot be written: {error}"
                ) from error
            self.bytes += len(data)
        return segment

    def seal(self) -> None:
        """Let the last segment grow no more, so that it can be deleted."""
        self._writer.seal()

    def sync(self) -> None:
        """Force what was appended before this call to the disk; blocks as long as that takes.

        Raises OSError.
        """
        self._writer.sync()

    def _begun(self, segment: Segment) -> None:
        self._segments.append(segment)
        self.bytes += segment.size

    # --- reading

    @property
    def unread_bytes(self) -> int:
        """How much lies behind the reader, at least: a later segment counts as endless."""
        if not self._segments:
            return 0
        if self._reading < len(self._segments) - 1:
            return self._options.max_bytes
        return self._segments[-1].size - max(self._offset, self._segments[-1].start)

    def read(self, oldest_ms: int) -> list[Record]:
        """Return the next events, some 256 KiB of them, and move the reader behind them.

        Passes over, and counts as dropped, what was spooled before `oldest_ms`. Empty at the end.
        Raises OSError.
        """
        while self._reading < len(self._segments):
            segment = self._segments[self._reading]
            offset = max(self._offset, segment.start)
            if offset < segment.size:
                if records := self._read(segment, offset, oldest_ms):
                    return records
                continue  # all too old, or damaged
            if self._reading == len(self._segments) - 1:
                break  # it may grow yet
            self._reading, self._offset = self._reading + 1, 0
        return []

    def _read(self, segment: Segment, offset: int, oldest_ms: int) -> list[Record]:
        read = read_frames(segment, offset)
        handover = self.handover(segment)
        records: list[Record] = []
        expired = 0
        if offset == segment.start:
            self._passed = 0
        self._offset = offset
        for item in read:
            self._offset = item.end
            self._passed += 1
            if item.spooled_at_ms < oldest_ms:
                expired += 1
            else:
                records.append((segment.topic, item.value, item.key, handover))
        if self._offset == offset:
            # It was whole when it was written or scanned: the disk has changed it since.
            _log.error(
                "the spool's %s is damaged at byte %d: the rest is lost", segment.path, offset
            )
            self._offset = segment.size
            expired = segment.frames - self._passed
        if expired:
            handover.dropped(expired)
        return records

    def handover(self, segment: Segment) -> Handover:
        """Return what takes the delivery reports of a segment's events."""
        if segment.handover is None:
            segment.handover = Handover(self._ledger)
        return segment.handover

    def skip_to_end(self) -> None:
        """Move the reader behind everything: it has been handed over from memory."""
        with self._lock:  # a caller may copy while the thread deletes
            if self._segments:
                self._reading, self._offset = len(self._segments) - 1, self._segments[-1].size

    def rewind(self) -> None:
        """Begin again with the oldest event that is not deleted: its handle was given up."""
        self._reading, self._offset = 0, 0
        for segment in tuple(self._segments):
            segment.handover = None

    # --- deleting

    def reclaim(self, oldest_ms: int) -> None:
        """Delete, oldest first, the segments that Kafka has answered for, and those too old."""
        while self._segments and self._finished(self._segments[0]):
            self._delete(0)
        first_unread = self._reading + (1 if self._offset else 0)
        for index in range(len(self._segments) - 2, first_unread - 1, -1):
            segment = self._segments[index]
            if segment.last_ms < oldest_ms:
                self._ledger.drop(segment.waiting)
                self._delete(index)

    def is_too_old(self, oldest_ms: int) -> bool:
        """Tell whether the oldest segment was spooled before `oldest_ms`, and handed over since."""
        head = next(iter(self._segments), None)
        if head is None or head.handover is None:
            return False
        return 0 < head.last_ms < oldest_ms and head.waiting > 0

    def _finished(self, segment: Segment) -> bool:
        is_last = len(self._segments) == 1
        if is_last and self._writer.is_open:
            return False
        passed = self._reading > 0 or self._offset >= segment.size
        return passed and segment.waiting <= 0

    def _delete(self, index: int) -> None:
        with self._lock:
            segment = self._segments.pop(index)
            self.bytes -= segment.size
            if index < self._reading:
                self._reading -= 1
            elif index == self._reading:
                self._offset = 0
        segment.path.unlink(missing_ok=True)
        if segment.lane is not self._lane and not any(
            other.lane is segment.lane for other in tuple(self._segments)
        ):
            segment.lane.remove()

    # --- adopting, closing

    def claim(self) -> bool:
        """Lock what dead processes left; tell whether there was anything. Quick."""
        self._claimed += Lane.claim_orphans(self._directory)
        return bool(self._claimed)

    def adopt_claimed(self) -> None:
        """Take over what was claimed: as the oldest, or behind what the drain has begun with.

        Reads it all once: torn tails are cut, and logged.
        """
        claimed, self._claimed = self._claimed, []
        found: list[Segment] = []
        for lane in claimed:
            segments = [item for path in lane.segments() if (item := adopted(lane, path))]
            if segments:
                found += segments
            else:
                lane.remove()
        with self._lock:
            if self._reading or self._offset:
                self._writer.seal()
                self._segments += found
            else:
                self._segments[:0] = found
            self.bytes += sum(segment.size for segment in found)
        if found:
            events = sum(segment.frames for segment in found)
            _log.warning("adopted %d spooled audit events of a process that ended", events)

    def close(self) -> None:
        """Sync, and let every lane go; one that holds nothing is removed. Raises OSError."""
        self.seal()
        try:
            self.sync()
        finally:
            used = {id(segment.lane): segment.lane for segment in self._segments}
            for lane in used.values():
                lane.release()
            if id(self._lane) not in used:
                self._lane.remove()

    def forsake(self) -> None:
        """Close the descriptors only: a forked process gives up its copies of the parent's."""
        lanes = {
            id(lane): lane
            for lane in (self._lane, *self._claimed, *(item.lane for item in self._segments))
        }
        for lane in lanes.values():
            lane.release()
        self._writer.forsake()
