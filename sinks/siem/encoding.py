"""From a Kafka record to the bytes a destination wants, one event at a time.

An encoder is a plain function; what it raises becomes a dead letter, and the rest is sent.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from auditbus.schemas.errors import AuditbusError, RejectCode
from auditbus.sinks.siem.records import Record

__all__ = ["Encoder", "Unencodable", "encode_json"]


class Unencodable(AuditbusError):
    """A record that this encoding cannot express; `code` is bounded, the message quotes nothing."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


# Returns one event's bytes. Raises Unencodable.
Encoder = Callable[[Record], bytes]


def encode_json(record: Record) -> bytes:
    """Return the event as it is, byte for byte, once it is known to be one JSON object in UTF-8.

    The raw topic may hold anything; spliced unchecked into an array, one broken value would spoil
    the body for its neighbours, or forge one.
    """
    value = record.value
    if value is None:
        raise Unencodable(RejectCode.TOMBSTONE, "a record without a value (tombstone) is no event")
    if not value:
        raise Unencodable(RejectCode.EMPTY, "the value is empty")
    try:
        parsed = orjson.loads(value)
    except orjson.JSONDecodeError:
        raise _malformed(value) from None
    if not isinstance(parsed, dict):
        raise Unencodable(RejectCode.NOT_AN_OBJECT, "the value is JSON, but not an object")
    return value


def _malformed(value: bytes) -> Unencodable:
    try:
        value.decode()
    except UnicodeDecodeError:
        return Unencodable(RejectCode.NOT_UTF8, "the value is not UTF-8")
    return Unencodable(RejectCode.MALFORMED_JSON, "the value is not JSON")
