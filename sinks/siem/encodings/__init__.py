"""The forms in which a destination may get an event, one module each, chosen by `encoding`.

An encoder is a plain function from an Event to bytes; what it raises becomes a dead letter, and the
rest is sent. A destination that wraps events (an envelope, a frame) wraps the encoder; one that has
a cap for one event encodes through `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from auditbus.sinks.siem.encodings.cef import encode_cef
from auditbus.sinks.siem.encodings.ecs import encode_ecs
from auditbus.sinks.siem.encodings.event import Event, Unencodable, read_event
from auditbus.sinks.siem.encodings.fit import fit
from auditbus.sinks.siem.encodings.leef import encode_leef
from auditbus.sinks.siem.encodings.ocsf import encode_ocsf

__all__ = [
    "ENCODINGS",
    "Encoder",
    "Encoding",
    "Event",
    "Unencodable",
    "encode_json",
    "fit",
    "read_event",
]

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
    "ocsf": Encoding(encode_ocsf, is_json=True),
    "ecs": Encoding(encode_ecs, is_json=True),
    "cef": Encoding(encode_cef, is_json=False),
    "leef": Encoding(encode_leef, is_json=False),
}
"""Every encoding by the name that settings use. One line each."""
