"""Compressing a stream of bytes, piece by piece."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Protocol

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["Compression", "compressed"]

_GZIP_LEVEL = 4  # half the time of 6, a few percent more bytes
_GZIP_WINDOW_BITS = 31


class Compression(StrEnum):
    """How a file is compressed."""

    NONE = "none"
    GZIP = "gzip"
    ZSTD = "zstd"

    @property
    def suffix(self) -> str:
        """What a file's name ends with."""
        return {"none": "", "gzip": ".gz", "zstd": ".zst"}[self]


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self) -> bytes: ...


def compressed(pieces: Iterable[bytes], how: Compression) -> Iterator[bytes]:
    """Yield the compressed stream of `pieces`; empty pieces are left out."""
    if how is Compression.NONE:
        yield from pieces
        return
    compressor = _compressor(how)
    for piece in pieces:
        if content := compressor.compress(piece):
            yield content
    yield compressor.flush()


def _compressor(how: Compression) -> _Compressor:
    if how is Compression.ZSTD:
        return zstd.ZstdCompressor()
    return zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
