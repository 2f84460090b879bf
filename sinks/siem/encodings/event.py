"""A record read once, for everything that looks into it: filters, encoders, envelopes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from auditbus.schemas.errors import AuditbusError, RejectCode
from auditbus.sinks.siem.records import Record

__all__ = ["Encoder", "Event", "Unencodable", "read_event"]


class Unencodable(AuditbusError):
    """A record that cannot be expressed; `code` is bounded, the message quotes nothing."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Event(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One JSON object from Kafka. On the raw topic, nothing else is known of it.

    `value` are its bytes in UTF-8, `fields` the same parsed: nobody may change them.
    `timestamp_ms` is the broker's, -1 where unknown. A Struct, as `Record` is, for its cost.
    """

    value: bytes
    fields: dict[str, Any]
    timestamp_ms: int


Encoder = Callable[[Event], bytes]
"""Returns one event's bytes. Raises Unencodable, with the field to blame. Safe in threads."""


def read_event(record: Record) -> Event:
    """Parse a record's value; raises Unencodable where it is not one JSON object in UTF-8.

    The raw topic may hold anything; spliced unchecked into an array, one broken value would spoil
    the body for its neighbours, or forge one.
    """
    value = record.value
    if value is None:
        raise Unencodable(RejectCode.TOMBSTONE, "a record without a value (tombstone) is no event")
    if not value:
        raise Unencodable(RejectCode.EMPTY, "the value is empty")
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _malformed(value) from None
    if not isinstance(fields, dict):
        raise Unencodable(RejectCode.NOT_AN_OBJECT, "the value is JSON, but not an object")
    return Event(value, fields, record.timestamp_ms)


def _malformed(value: bytes) -> Unencodable:
    try:
        value.decode()
    except UnicodeDecodeError:
        return Unencodable(RejectCode.NOT_UTF8, "the value is not UTF-8")
    return Unencodable(RejectCode.MALFORMED_JSON, "the value is not JSON")
