"""What envelopes around an event need to know of it, and how an encoded event fits into JSON."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import orjson

from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.timestamps import format_epoch_ms, parse_rfc3339
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, Event

__all__ = ["event_id", "json_value", "on_one_line", "time_ms", "time_text", "time_us"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_MAX_ID_BYTES = 512  # an _id of Elasticsearch is no longer
_NEWLINES = bytes.maketrans(b"\r\n", b"  ")


def event_id(event: Event) -> str:
    """Return the key to deduplicate by: the event's `id`.

    The raw topic may hold events without one, or with something else there; their bytes name them.
    """
    found = event.fields.get("id")
    if isinstance(found, str) and found and len(found) <= _MAX_ID_BYTES // 4:
        return found  # no character has more than four bytes
    return f"sha256-{hashlib.sha256(event.value).hexdigest()}"


def time_us(event: Event) -> int:
    """Return when it occurred, in µs since 1970; else, on the raw topic, the broker's time."""
    found = event.fields.get("occurred_at")
    if isinstance(found, str):
        try:
            return (parse_rfc3339(found) - _EPOCH) // _MICROSECOND
        except ValueError:
            pass
    return max(event.timestamp_ms, 0) * 1000


def time_text(event: Event) -> str:
    """Return the same as RFC 3339, as the event has it."""
    found = event.fields.get("occurred_at")
    if isinstance(found, str):
        try:
            parse_rfc3339(found)
        except ValueError:
            pass
        else:
            return found
    return format_epoch_ms(max(event.timestamp_ms, 0))


def time_ms(event: Event) -> int:
    """Return the same in ms."""
    return time_us(event) // 1000


def json_value(encoding: str, catalogue: Catalogue) -> Encoder:
    """Return the encoder that makes one JSON value: JSON as it is, text as a JSON string."""
    chosen = ENCODINGS[encoding]
    encode = chosen.encoder(catalogue)
    return encode if chosen.is_json else _quoted(encode)


def _quoted(encode: Encoder) -> Encoder:
    return lambda event: orjson.dumps(encode(event).decode(errors="replace"))


def on_one_line(encode: Encoder) -> Callable[[Event], bytes]:
    """Return an encoder without line ends, where those part events.

    In JSON they can only be white space between tokens, and the text encodings escape their own.
    """

    def encode_line(event: Event) -> bytes:
        line = encode(event)
        return line.translate(_NEWLINES) if b"\n" in line or b"\r" in line else line

    return encode_line
