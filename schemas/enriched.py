"""The enriched event: the producer's bytes with the stream's fields spliced on.

`audit.events.enriched` and ClickHouse's `event` column hold this form.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import AuditEvent

__all__ = ["Device", "EnrichedEvent", "Location", "Origin", "decode_enriched", "decode_event"]


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the address is, as the `database` says; empty for a private or unknown address."""

    country_code: str | None = None
    country: str | None = None
    region: str | None = None
    city: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    asn: int | None = None
    as_organization: str | None = None
    label: str | None = None
    database: str | None = None


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the user agent and client hints say; empty where there is none."""

    type: str | None = None
    brand: str | None = None
    model: str | None = None
    os: str | None = None
    os_version: str | None = None
    browser: str | None = None
    browser_version: str | None = None
    is_bot: bool | None = None
    label: str | None = None


class Origin(msgspec.Struct, frozen=True):
    """The raw record's place in Kafka."""

    topic: str
    partition: int
    offset: int


class EnrichedEvent(AuditEvent, frozen=True, omit_defaults=True, kw_only=True):
    """An AuditEvent and what the stream added. `received_at` is the broker's timestamp."""

    received_at: str
    category: str
    operation: str
    location: Location
    device: Device
    origin: Origin


_EventT = TypeVar("_EventT", bound=AuditEvent)
_enriched = msgspec.json.Decoder(EnrichedEvent)
_raw = msgspec.json.Decoder(AuditEvent)


def decode_enriched(value: bytes) -> EnrichedEvent:
    """Decode one value of the enriched topic; InvalidEvent where it is none."""
    return _decode(_enriched, value)


def decode_event(value: bytes) -> AuditEvent:
    """Decode one value of the raw topic, limits unjudged; InvalidEvent where it is none."""
    return _decode(_raw, value)


def _decode(decoder: msgspec.json.Decoder[_EventT], value: bytes) -> _EventT:
    try:
        return decoder.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidEvent(RejectCode.MALFORMED_JSON, None, str(error)) from None
