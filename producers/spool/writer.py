"""The segment that grows: the newest of a process's own lane, appended to and synced."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from auditbus.producers.spool.files import Segment, write
from auditbus.producers.spool.lane import Lane
from auditbus.producers.spool.segment import header

__all__ = ["SegmentWriter"]

_datasync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class SegmentWriter:
    """Writes frames, each whole or not at all, into segments of bounded size.

    `append` is called by any thread, one at a time, and `sync` by another meanwhile.
    """

    def __init__(
        self,
        lane: Lane,
        topic: str,
        lock: threading.RLock,
        begun: Callable[[Segment], None],
        *,
        segment_bytes: int,
        sync_at_once: bool,
    ) -> None:
        """`lock` guards what a segment says of itself; `begun` is told of each new one, locked."""
        self._lane = lane
        self._topic = topic
        self._header = header(topic)
        self._begun = begun
        self._segment_bytes = segment_bytes
        self._sync_at_once = sync_at_once
        self._made = 0
        self._segment: Segment | None = None
        self._descriptor: int | None = None  # of the segment, while it may grow
        self._rolled: list[int] = []  # descriptors to sync and close
        self._unsynced = False
        self._lock = lock
        self._sync_lock = threading.RLock()  # re-entrant, as `lock` is

    @property
    def is_open(self) -> bool:
        """Whether the newest segment may grow yet."""
        return self._descriptor is not None

    def append(self, data: bytes, count: int, now_ms: int) -> Segment:
        """Write `count` frames at the end, and return the segment; the lock is held.

        Raises OSError, and what was written in part is cut off.
        """
        try:
            descriptor, segment = self._writable(len(data))
            write(descriptor, data)
            if self._sync_at_once:
                _datasync(descriptor)
                if not segment.frames:
                    self._sync_directory()
        except OSError:
            self._take_back()
            raise
        if not segment.frames:
            segment.first_ms = now_ms
        segment.size += len(data)
        segment.frames += count
        segment.last_ms = now_ms
        self._unsynced = not self._sync_at_once
        return segment

    def _writable(self, size_bytes: int) -> tuple[int, Segment]:
        if self._descriptor is not None and (last := self._segment) is not None:
            if last.size + size_bytes <= self._segment_bytes or not last.frames:
                return self._descriptor, last
            self.seal()
        path = self._lane.path / f"{self._made + 1:012d}.seg"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            write(descriptor, self._header)
        except OSError:
            os.close(descriptor)
            path.unlink()
            raise
        self._made += 1
        self._descriptor = descriptor
        self._segment = segment = Segment(self._lane, path, self._topic, len(self._header))
        self._begun(segment)
        return descriptor, segment

    def _take_back(self) -> None:
        """Cut off what was written in part; where even that fails, go on in a new segment."""
        if self._descriptor is None or self._segment is None:
            return
        try:
            os.ftruncate(self._descriptor, self._segment.size)
        except OSError:
            self.seal()

    def seal(self) -> None:
        """Let the newest segment grow no more."""
        with self._lock:
            if self._descriptor is not None:
                self._rolled.append(self._descriptor)
                self._descriptor = None

    def sync(self) -> None:
        """Force what was appended before this call to the disk; blocks as long as that takes.

        Raises OSError.
        """
        with self._sync_lock:
            with self._lock:
                if not self._unsynced and not self._rolled:
                    return
                rolled, self._rolled = self._rolled, []
                writing, self._unsynced = self._descriptor, False
            try:
                for descriptor in rolled:
                    _datasync(descriptor)
                if writing is not None:
                    _datasync(writing)  # only `sync` closes it, and only we sync
                self._sync_directory()
            except OSError:
                self._unsynced = True
                raise
            finally:
                for descriptor in rolled:
                    os.close(descriptor)

    def _sync_directory(self) -> None:
        for path in (self._lane.path, self._lane.path.parent):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def forsake(self) -> None:
        """Close the descriptors only: a forked process gives up its copies of the parent's."""
        for descriptor in (
            *self._rolled,
            *([] if self._descriptor is None else [self._descriptor]),
        ):
            os.close(descriptor)
