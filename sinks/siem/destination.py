"""What a destination is to the frame: settings, an encoder and a client.

A new one is a module that ends in `KIND = DestinationKind(...)` and a line in `registry.py`, or, in
a package of its own, an entry point in the group `auditbus.destinations`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder
from auditbus.sinks.siem.filters import FilterSettings
from auditbus.sinks.siem.outcomes import Outcome
from auditbus.sinks.siem.redaction import RedactionSettings

__all__ = ["Client", "Destination", "DestinationKind", "DestinationSettings", "Parcel"]


class DestinationSettings(BaseModel):
    """Settings of every destination; a kind adds its own in a subclass.

    A field of type SecretStr called `token` is given as `token_env` (a variable's name) or
    `token_file` (a path), never in the settings file itself: see `secrets`.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    type: str
    """Kind of destination, such as webhook."""
    topic: Literal["enriched", "raw"] = "enriched"
    """Events with location and device, or exactly as they were published."""
    batch_events: int = Field(1_000, ge=1, le=100_000)
    """Most events of one request."""
    batch_bytes: int = Field(1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    """Most bytes of events in one request; one larger event goes alone."""
    encoding: Literal["json", "ocsf", "ecs", "cef", "leef"] = "json"
    """Form of the events: json, ocsf, ecs, cef or leef (see encodings.md)."""
    linger_ms: int = Field(200, ge=0, le=60_000)
    """Milliseconds a request waits for more events."""
    timeout_s: float = Field(20.0, gt=0, le=600)
    """Seconds to wait for a connection, and for each part of an answer."""
    requests_in_flight: int = Field(4, ge=1, le=64)
    """Most requests at a time; where order counts, no two of one partition."""
    retry_base_s: float = Field(0.5, gt=0, le=60)
    """Seconds before the first retry; doubles with each, with jitter."""
    retry_cap_s: float = Field(60.0, gt=0, le=3600)
    """Most seconds between retries."""
    max_event_age_s: float | None = Field(None, gt=0)
    """Age in seconds above which a replay leaves an event out, where the destination drops it."""
    filter: FilterSettings | None = None
    """Which events it gets; a table of its own. All, where there is none."""
    redact: RedactionSettings | None = None
    """What is taken out of them; a table of its own. Nothing, where there is none."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one request carries.

    `id` names exactly these events at these offsets: the same when they are sent again with the
    same cut. `timestamp_ms` is the broker's, of the last event, so a retry has the same bytes.
    """

    id: str
    events: Sequence[bytes]
    timestamp_ms: int


class Client(Protocol):
    """Talks to one destination. Called from several sender threads at a time.

    Neither method raises for what a destination may do: every answer, and every way of getting
    none, is an Outcome. Each returns in a small multiple of `timeout_s` where the
    destination does not drip-feed its answer; if it does, only its own requests wait.
    """

    def deliver(self, parcel: Parcel) -> Outcome:
        """Send one request and wait for its answer. `parcel.events` is never empty."""

    def probe(self) -> Outcome:
        """Send something harmless that shows whether address and credentials are right."""

    def close(self) -> None:
        """Release connections; nothing is delivered after it."""


@dataclass(frozen=True, slots=True)
class DestinationKind:
    """One kind of destination, complete.

    `connect` takes an instance of `settings` and returns at once, without talking to anyone.
    `encoder` makes the function that turns an event into the bytes that the client gets for it, of
    the settings and the catalogue that says how severe an action is; one whose client wants more
    than the encoding that the settings name wraps it.
    `ordered`: events of one account arrive in order, by one request a partition at a time. Else
    several are under way, and only what failed is sent again.
    """

    settings: type[DestinationSettings]
    connect: Callable[[Any], Client]
    ordered: bool
    encoder: Callable[[Any, Catalogue], Encoder] = field(
        default=lambda settings, catalogue: ENCODINGS[settings.encoding].encoder(catalogue)
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """A configured destination. `name` is the operator's; a metric label and part of the group.

    `catalogue` says how severe actions are, and of which category on the raw topic.
    """

    name: str
    kind: DestinationKind
    settings: DestinationSettings
    catalogue: Catalogue = field(default_factory=Catalogue.builtin)

    @property
    def group(self) -> str:
        """Its own consumer group."""
        return f"forwarder.{self.name}"
