"""UUIDv7, the event's identity: RFC 9562, section 5.7."""

from __future__ import annotations

import hashlib
import os
import re
import time

__all__ = ["derived_uuid7", "is_uuid7", "uuid7"]

_UUID7 = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
# The variant is the upper half of its hexadecimal digit: 10xx.
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def uuid7(epoch_ms: int | None = None) -> str:
    """Return a new UUIDv7 as 36 lower-case characters.

    `epoch_ms` is milliseconds since 1970 (default: now). The other 74 bits are random from the
    operating system, so ids made in one millisecond, or after a fork, do not collide.
    """
    if epoch_ms is None:
        epoch_ms = time.time_ns() // 1_000_000
    return _layout(epoch_ms, os.urandom(10))


def derived_uuid7(epoch_ms: int, source: str, source_id: bytes) -> str:
    """Return the UUIDv7 of a record that another system made: the same arguments, the same id.

    `epoch_ms` is the record's time in milliseconds since 1970. The other 74 bits are the first of
    SHA-256 over `source` (a format's name), a zero byte and `source_id` (what is unique there).
    """
    digest = hashlib.sha256(b"%b\0%b" % (source.encode(), source_id)).digest()
    return _layout(epoch_ms, digest[:10])


def is_uuid7(text: str) -> bool:
    """Tell whether `text` is a UUIDv7 with hyphens; upper case is accepted as RFC 9562 asks."""
    return _UUID7.fullmatch(text) is not None


def _layout(epoch_ms: int, rest: bytes) -> str:
    """Lay out 48 bits of time and 80 bits, of which version and variant take six."""
    digits = ((epoch_ms & 0xFFFF_FFFF_FFFF).to_bytes(6, "big") + rest).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-7{digits[13:16]}"
        f"-{_VARIANT[digits[16]]}{digits[17:20]}-{digits[20:]}"
    )
