"""What is made once of each place and each device: they come again and again."""

from __future__ import annotations

from collections.abc import Hashable
from functools import _lru_cache_wrapper
from typing import TypeVar

from auditbus.sinks.siem.encodings.event import Event

__all__ = ["CACHED", "cached"]

_Made = TypeVar("_Made")

CACHED = 1_024
"""Entries of a cache: with events no larger than `_MAX_EVENT_BYTES`, 16 MiB at worst."""
_MAX_EVENT_BYTES = 16_384


def cached(make: _lru_cache_wrapper[_Made], key: Hashable, event: Event) -> _Made:
    """Return `make(key)`, which nobody may change; past the cache where `event` is large.

    The raw topic may hold anything: texts of a megabyte must not stay in memory.
    """
    if len(event.value) > _MAX_EVENT_BYTES:
        return make.__wrapped__(key)
    return make(key)
