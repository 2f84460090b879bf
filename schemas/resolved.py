"""msgspec types that are worked out before any thread uses them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

__all__ = ["resolved"]

_T = TypeVar("_T")


def resolved(kind: type[_T]) -> type[_T]:
    """Decorate a Struct that several threads may read: work out its fields now, at its import.

    msgspec (0.22) does that at the type's first use, in Python code during which another thread
    may run, or fork: that one finds the fields half worked out, and the process crashes.
    """
    msgspec.json.Decoder(kind)
    return kind
