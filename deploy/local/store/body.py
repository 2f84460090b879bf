"""Request bodies, unpacked within a bound: each Content-Encoding that clickhouse-connect uses."""

from __future__ import annotations

import sys
import zlib
from typing import Protocol

import lz4.frame

from auditbus.deploy.local.store.errors import BadRequest, ErrorCode

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["LARGEST_BODY_BYTES", "decompress"]

# A batch of the sink is some 11 MB. Bounds the packed and the unpacked size.
LARGEST_BODY_BYTES = 256 * 1024 * 1024


class _Decompressor(Protocol):
    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...


def decompress(body: bytes, encoding: str) -> bytes:
    """Unpack a body; several frames may follow each other, as clickhouse-connect sends blocks.

    Raises:
        BadRequest: an unknown encoding, broken or cut data, or too large when unpacked.
    """
    if encoding in {"", "identity"}:
        return body
    unpacked = bytearray()
    while body:
        decompressor = _decompressor(encoding)
        try:
            unpacked += decompressor.decompress(body, LARGEST_BODY_BYTES + 1 - len(unpacked))
        except (zlib.error, RuntimeError, zstd.ZstdError) as error:
            raise BadRequest(
                ErrorCode.CANNOT_DECOMPRESS, f"broken {encoding} data: {error}"
            ) from error
        if len(unpacked) > LARGEST_BODY_BYTES:
            raise BadRequest(
                ErrorCode.QUERY_IS_TOO_LARGE, f"a body of more than {LARGEST_BODY_BYTES} bytes"
            )
        if not decompressor.eof:
            raise BadRequest(ErrorCode.CANNOT_DECOMPRESS, f"{encoding} data is cut short")
        body = decompressor.unused_data or b""
    return bytes(unpacked)


def _decompressor(encoding: str) -> _Decompressor:
    match encoding:
        case "lz4":
            frame: _Decompressor = lz4.frame.LZ4FrameDecompressor()
            return frame
        case "zstd":
            return zstd.ZstdDecompressor()
        case "gzip" | "x-gzip":
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        case "deflate":
            return zlib.decompressobj()
        case _:
            raise BadRequest(
                ErrorCode.NOT_IMPLEMENTED, f"Content-Encoding {encoding!r}: use lz4, zstd, gzip"
            )
