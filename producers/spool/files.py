"""The files of a spool, as the process knows them that owns them."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from auditbus.producers.spool.handover import Handover
from auditbus.producers.spool.lane import Lane
from auditbus.producers.spool.segment import Frame, cut, frame_bytes, frames, scan

__all__ = ["Segment", "adopted", "read_frames", "write"]

_log = logging.getLogger("auditbus.producers")
_READ_BYTES = 256 * 1024


class Segment:
    """One file, as far as this process knows it."""

    __slots__ = (
        "first_ms",
        "frames",
        "handover",
        "lane",
        "last_ms",
        "path",
        "size",
        "start",
        "topic",
    )

    def __init__(self, lane: Lane, path: Path, topic: str, start: int) -> None:
        """`start` is where its frames begin."""
        self.lane = lane
        self.path = path
        self.topic = topic
        self.start = self.size = start
        self.frames = 0
        self.first_ms = self.last_ms = 0
        self.handover: Handover | None = None

    @property
    def waiting(self) -> int:
        """How many of its events Kafka has not answered for."""
        return self.frames - (self.handover.resolved if self.handover else 0)


def write(descriptor: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError, after which some of it may have been written."""
    while written := os.write(descriptor, data):
        if written == len(data):
            return
        data = data[written:]  # the last bytes of the disk, or of a limit: the next write says so
    raise OSError(errno.ENOSPC, "nothing could be written")


def read_frames(segment: Segment, offset: int) -> Iterator[Frame]:
    """Read some 256 KiB from `offset` on, and return its whole frames. Raises OSError."""
    descriptor = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = os.pread(descriptor, min(_READ_BYTES, segment.size - offset), offset)
        longer = frame_bytes(data)
        if longer is not None and longer > len(data):
            data = os.pread(descriptor, min(longer, segment.size - offset), offset)
    finally:
        os.close(descriptor)
    return frames(data, offset)


def adopted(lane: Lane, path: Path) -> Segment | None:
    """Return a dead process's segment, its torn end cut off; None where it holds no event."""
    found = scan(path)
    if found is None or not found.frames:
        if found is None or found.torn_bytes:
            _log.warning("%s held no whole event: %d bytes", path, path.stat().st_size)
        path.unlink()
        return None
    if found.torn_bytes:
        _log.warning("%s ended in a torn write: %d bytes cut", path, found.torn_bytes)
        cut(path, found.size_bytes)
    segment = Segment(lane, path, found.topic, found.start)
    segment.size, segment.frames = found.size_bytes, found.frames
    segment.first_ms, segment.last_ms = found.first_ms, found.last_ms
    return segment
