"""UUIDv7, the event's identity: RFC 9562, section 5.7."""

from __future__ import annotations

import hashlib
import os
import re
import time
from functools import lru_cache

__all__ = ["derived_uuid7", "is_uuid7", "uuid7"]

_UUID7 = re.compile(
    r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}"
)
_is_uuid7 = _UUID7.fullmatch
# The bits that RFC 9562 fixes: version 7 in the first byte after the time, variant 10 in the third.
_VERSION = bytes(0x70 | value & 0x0F for value in range(256))
_VARIANT = bytes(0x80 | value & 0x3F for value in range(256))
_FREE_BITS, _FIXED_BITS = 0x0FFF_3FFF_FFFF_FFFF_FFFF, 0x7000_8000_0000_0000_0000
_RANDOM_BYTES, _TAILS_AT_ONCE = 10, 128
_TAIL_CHARACTERS = 22
_DIGIT_PLACES = [place for place in range(_TAIL_CHARACTERS) if place not in {4, 9}]  # hyphens
# The random parts of ids to come: one call of the system for many costs a tenth. A list, because
# its pop() is one step that no other thread gets between.
_tails: list[str] = []
if hasattr(os, "register_at_fork"):  # or parent and child would make the same ids
    os.register_at_fork(after_in_child=_tails.clear)


def uuid7(epoch_ms: int | None = None) -> str:
    """Return a new UUIDv7 as 36 lower-case characters.

    `epoch_ms` is milliseconds since 1970 (default: now). The other 74 bits are random from the
    operating system, so ids made in one millisecond, or after a fork, do not collide.
    """
    if epoch_ms is None:
        epoch_ms = time.time_ns() // 1_000_000
    try:
        tail = _tails.pop()
    except IndexError:
        fresh = _tails_of(os.urandom(_RANDOM_BYTES * _TAILS_AT_ONCE))
        tail = fresh.pop()
        _tails.extend(fresh)
    return _time_part(epoch_ms) + tail


def derived_uuid7(epoch_ms: int, source: str, source_id: bytes) -> str:
    """Return the UUIDv7 of a record that another system made: the same arguments, the same id.

    `epoch_ms` is the record's time in milliseconds since 1970. The other 74 bits are the first of
    SHA-256 over `source` (a format's name), a zero byte and `source_id` (what is unique there).
    """
    digest = hashlib.sha256(b"%b\0%b" % (source.encode(), source_id)).digest()
    digits = f"{int.from_bytes(digest[:_RANDOM_BYTES]) & _FREE_BITS | _FIXED_BITS:020x}"
    return f"{_time_part(epoch_ms)}{digits[:4]}-{digits[4:8]}-{digits[8:]}"


def is_uuid7(text: str) -> bool:
    """Tell whether `text` is a UUIDv7 with hyphens; upper case is accepted as RFC 9562 asks."""
    return _is_uuid7(text) is not None


@lru_cache(maxsize=16)
def _time_part(epoch_ms: int) -> str:
    """Return the first 13 characters, which all ids of one millisecond share, and a hyphen."""
    digits = f"{epoch_ms & 0xFFFF_FFFF_FFFF:012x}"
    return f"{digits[:8]}-{digits[8:]}-"


def _tails_of(bits: bytes) -> list[str]:
    """Return what follows the time, ten bytes an id, with the bits that RFC 9562 fixes put in."""
    random = bytearray(bits)
    random[0::_RANDOM_BYTES] = random[0::_RANDOM_BYTES].translate(_VERSION)
    random[2::_RANDOM_BYTES] = random[2::_RANDOM_BYTES].translate(_VARIANT)
    digits = random.hex().encode()
    # Digit by digit for all of them at once: strided copies in C.
    text = bytearray(b"-" * (_TAIL_CHARACTERS * (len(random) // _RANDOM_BYTES)))
    for digit, place in enumerate(_DIGIT_PLACES):
        text[place::_TAIL_CHARACTERS] = digits[digit :: 2 * _RANDOM_BYTES]
    tails = text.decode()
    return [tails[at : at + _TAIL_CHARACTERS] for at in range(0, len(tails), _TAIL_CHARACTERS)]
