"""One file of the spool: a header, then frames, only ever appended to.

```text
header   "AUDSPL01" · u32 topic bytes · topic · u32 CRC-32 of the topic
frame    u32 payload bytes · u32 CRC-32 of the payload · payload
payload  u64 spooled at (ms since 1970) · u32 key bytes · key · value        all little-endian
```

A process that is killed while it writes leaves at most one torn frame, at the end: its length or
its checksum does not fit. `scan` finds where the whole frames end.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Frame", "Scan", "frame", "frames", "header", "scan"]

_MAGIC = b"AUDSPL01"
_U32 = struct.Struct("<I")
_FRAME = struct.Struct("<II")
_PAYLOAD = struct.Struct("<QI")


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as it lies in a segment; `end` is the offset behind it."""

    value: bytes
    key: bytes
    spooled_at_ms: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What a segment of another process holds: `size_bytes` up to the last whole frame."""

    topic: str
    start: int
    size_bytes: int
    torn_bytes: int
    frames: int
    first_ms: int
    last_ms: int


def header(topic: str) -> bytes:
    """Return what a segment begins with."""
    name = topic.encode()
    return b"".join((_MAGIC, _U32.pack(len(name)), name, _U32.pack(zlib.crc32(name))))


def frame(value: bytes, key: bytes, now_ms: int) -> bytes:
    """Return one event as a frame."""
    payload = b"".join((_PAYLOAD.pack(now_ms, len(key)), key, value))
    return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def frames(data: bytes, offset: int) -> Iterator[Frame]:
    """Yield the whole frames of `data`, which begins at `offset` of its segment.

    Stops before the first that is cut off or damaged.
    """
    at, size = 0, len(data)
    while at + _FRAME.size <= size:
        length, checksum = _FRAME.unpack_from(data, at)
        start = at + _FRAME.size
        end = start + length
        # Zeros, which some file systems leave after a power cut, are no frame of no length.
        if length < _PAYLOAD.size or end > size:
            return
        payload = data[start:end]
        if zlib.crc32(payload) != checksum:
            return
        spooled_at_ms, key_bytes = _PAYLOAD.unpack_from(payload)
        middle = _PAYLOAD.size + key_bytes
        yield Frame(payload[middle:], payload[_PAYLOAD.size : middle], spooled_at_ms, offset + end)
        at = end


def frame_bytes(data: bytes) -> int | None:
    """Return how long the frame is that `data` begins with; None where that is cut off too."""
    return _FRAME.size + _U32.unpack_from(data)[0] if len(data) >= _FRAME.size else None


def scan(path: Path) -> Scan | None:
    """Read a whole segment; None where not even its header is whole."""
    data = path.read_bytes()
    start = _header_end(data)
    if start is None:
        return None
    topic = data[len(_MAGIC) + _U32.size : start - _U32.size].decode()
    size, count, first_ms, last_ms = start, 0, 0, 0
    for item in frames(data[start:], start):
        first_ms = first_ms or item.spooled_at_ms
        size, count, last_ms = item.end, count + 1, item.spooled_at_ms
    return Scan(topic, start, size, len(data) - size, count, first_ms, last_ms)


def _header_end(data: bytes) -> int | None:
    fixed = len(_MAGIC) + _U32.size
    if len(data) < fixed or not data.startswith(_MAGIC):
        return None
    (length,) = _U32.unpack_from(data, len(_MAGIC))
    end: int = fixed + length + _U32.size
    if len(data) < end:
        return None
    (checksum,) = _U32.unpack_from(data, end - _U32.size)
    return end if zlib.crc32(data[fixed : fixed + length]) == checksum else None


def cut(path: Path, size_bytes: int) -> None:
    """Cut a torn tail off, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, size_bytes)
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
