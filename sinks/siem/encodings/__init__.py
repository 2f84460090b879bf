"""The forms in which a destination may get an event, one module each, chosen by `encoding`.

An encoder is a plain function from an Event to bytes; what it raises becomes a dead letter, and the
rest is sent. A destination that wraps events (an envelope, a frame) wraps the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auditbus.sinks.siem.encodings.event import Event, Unencodable, read_event

__all__ = ["ENCODINGS", "Encoder", "Encoding", "Event", "Unencodable", "encode_json", "read_event"]

# Returns one event's bytes. Raises Unencodable.
Encoder = Callable[[Event], bytes]


@dataclass(frozen=True, slots=True)
class Encoding:
    """`is_json`: the bytes are one JSON object, which an envelope in JSON may hold as it is."""

    encode: Encoder
    is_json: bool


def encode_json(event: Event) -> bytes:
    """Return the event as it is, byte for byte."""
    return event.value


ENCODINGS: Mapping[str, Encoding] = {
    "json": Encoding(encode_json, is_json=True),
}
"""Every encoding by the name that settings use. One line each."""
