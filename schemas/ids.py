"""UUIDv7, the event's identity: RFC 9562, section 5.7."""

from __future__ import annotations

import os
import re
import time

__all__ = ["is_uuid7", "uuid7"]

_UUID7 = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
_VERSION_7 = 0x7 << 76
_VARIANT_RFC = 0b10 << 62
_LOW_62_BITS = (1 << 62) - 1


def uuid7(epoch_ms: int | None = None) -> str:
    """Return a new UUIDv7 as 36 lower-case characters.

    `epoch_ms` is milliseconds since 1970 (default: now). The other 74 bits are random from the
    operating system, so ids made in one millisecond, or after a fork, do not collide.
    """
    if epoch_ms is None:
        epoch_ms = time.time_ns() // 1_000_000
    random_bits = int.from_bytes(os.urandom(10), "big")
    rand_a = (random_bits >> 62) & 0xFFF
    value = (
        ((epoch_ms & 0xFFFF_FFFF_FFFF) << 80)
        | _VERSION_7
        | (rand_a << 64)
        | _VARIANT_RFC
        | (random_bits & _LOW_62_BITS)
    )
    digits = f"{value:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def is_uuid7(text: str) -> bool:
    """Tell whether `text` is a UUIDv7 with hyphens; upper case is accepted as RFC 9562 asks."""
    return _UUID7.fullmatch(text) is not None
