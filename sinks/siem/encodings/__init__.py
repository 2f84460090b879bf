"""The forms in which a destination may get an event, one module each, chosen by `encoding`.

An encoder is a plain function from an Event to bytes; what it raises becomes a dead letter, and the
rest is sent. A destination that wraps events (an envelope, a frame) wraps the encoder; one that has
a cap for one event encodes through `fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.encodings.cef import cef_encoder
from auditbus.sinks.siem.encodings.ecs import ecs_encoder
from auditbus.sinks.siem.encodings.event import Encoder, Event, Unencodable, read_event
from auditbus.sinks.siem.encodings.fit import fit
from auditbus.sinks.siem.encodings.leef import leef_encoder
from auditbus.sinks.siem.encodings.ocsf import ocsf_encoder

__all__ = [
    "ENCODINGS",
    "Encoder",
    "Encoding",
    "Event",
    "Unencodable",
    "fit",
    "read_event",
]


@dataclass(frozen=True, slots=True)
class Encoding:
    """`is_json`: the bytes are one JSON object, which an envelope in JSON may hold as it is.

    `encoder` makes the function, for actions as a catalogue has them.
    """

    encoder: Callable[[Catalogue], Encoder]
    is_json: bool


def _json_encoder(_catalogue: Catalogue) -> Encoder:
    """Return the function that gives the event as it is, byte for byte."""
    return attrgetter("value")


ENCODINGS: Mapping[str, Encoding] = {
    "json": Encoding(_json_encoder, is_json=True),
    "ocsf": Encoding(ocsf_encoder, is_json=True),
    "ecs": Encoding(ecs_encoder, is_json=True),
    "cef": Encoding(cef_encoder, is_json=False),
    "leef": Encoding(leef_encoder, is_json=False),
}
"""Every encoding by the name that settings use. One line each."""
