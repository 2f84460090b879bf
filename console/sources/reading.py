"""Bytes of a file or a pipe, unpacked where they are gzip, in chunks of bounded size."""

from __future__ import annotations

import select
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

__all__ = ["BrokenInput", "Chunks"]

_READ_BYTES = 256 * 1024
_CHUNK_BYTES = 1024 * 1024
_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_GZIP_WBITS = 31  # zlib: a gzip header and trailer, its checksum and length verified


class BrokenInput(Exception):
    """What was read so far is whole; the rest can't be read. The message says why."""


class Chunks:
    """Iterates over the content, without a byte order mark, at most about 1 MiB at a time.

    Gzip is known by its first two bytes (RFC 1952); several members in a row are one content.
    `bytes_read` counts what was taken from the source, so packed bytes of a packed file.
    Iterating raises BrokenInput where gzip ends early or is damaged, after all before it was given.
    """

    def __init__(self, source: BinaryIO, before_waiting: Callable[[], object] = int) -> None:
        """Read nothing yet. `before_waiting` is called where a pipe holds nothing at the moment."""
        self._before_waiting = before_waiting
        self.bytes_read = 0
        self._source = source

    def __iter__(self) -> Iterator[bytes]:
        """Yield chunks, none of them empty."""
        head = b""
        while len(head) < len(_BOM) and (more := self._read()):
            head += more
        content = self._unpacked(head) if head.startswith(_GZIP_MAGIC) else self._plain(head)
        first = b""
        for chunk in content:
            first += chunk
            if len(first) >= len(_BOM):
                break
        if first := first.removeprefix(_BOM):
            yield first
        yield from content

    def _read(self) -> bytes:
        if not _is_ready(self._source):
            self._before_waiting()
        # Not read(): what a pipe holds now is published now.
        chunk: bytes = getattr(self._source, "read1", self._source.read)(_READ_BYTES)
        self.bytes_read += len(chunk)
        return chunk

    def _plain(self, head: bytes) -> Iterator[bytes]:
        chunk = head
        while chunk:
            yield chunk
            chunk = self._read()

    def _unpacked(self, packed: bytes) -> Iterator[bytes]:
        member = zlib.decompressobj(_GZIP_WBITS)
        while True:
            before = member.copy()
            try:
                # Bounded: a few packed bytes may stand for gigabytes.
                chunk = member.decompress(packed, _CHUNK_BYTES)
            except zlib.error as error:
                yield from _up_to_damage(before, packed)
                raise BrokenInput(f"gzip is damaged: {error}") from None
            if chunk:
                yield chunk
            if member.eof:
                # Between members, and after the last, there may be zeros.
                packed = member.unused_data.lstrip(b"\0")
                while not packed and (more := self._read()):
                    packed = more.lstrip(b"\0")
                if not packed:
                    return
                member = zlib.decompressobj(_GZIP_WBITS)
                continue
            packed = member.unconsumed_tail
            # A full chunk may have left some inside zlib, with nothing unconsumed.
            if not packed and len(chunk) < _CHUNK_BYTES and not (packed := self._read()):
                raise BrokenInput("gzip ends early: the file is truncated")


def _is_ready(source: BinaryIO) -> bool:
    """Tell whether reading will not wait; True where that can't be known."""
    try:
        return bool(select.select([source], [], [], 0)[0])
    except (OSError, TypeError, ValueError):  # no file of the system's, or Windows
        return True


def _up_to_damage(member: zlib._Decompress, packed: bytes) -> Iterator[bytes]:
    """Yield what can still be unpacked, in ever smaller steps: a failing one gives nothing."""
    for step_bytes in (4096, 1):
        while True:
            before = member.copy()
            try:
                chunk = member.decompress(packed, step_bytes)
            except zlib.error:
                member = before
                break
            if not chunk:
                return
            yield chunk
            packed = member.unconsumed_tail
