"""What goes out of a record for one destination: filtered, redacted, encoded, in this order."""

from __future__ import annotations

from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.encodings import Encoder, Event, read_event
from auditbus.sinks.siem.filters import Predicate, compile_filter
from auditbus.sinks.siem.records import Record
from auditbus.sinks.siem.redaction import compile_redaction

__all__ = ["Preparation"]


class Preparation:
    """Made once for a destination. Safe to use from several threads."""

    def __init__(self, destination: Destination) -> None:
        """Compile; raises SettingsError where the destination's filter is wrong."""
        self.is_wanted = _filter(destination)
        self.encode = _encoder(destination)

    def __call__(self, record: Record) -> bytes | None:
        """Return the bytes for `record`, None where it is not for this destination.

        Raises Unencodable.
        """
        event: Event = read_event(record)
        return self.encode(event) if self.is_wanted(event) else None


def _filter(destination: Destination) -> Predicate:
    settings = destination.settings
    if settings.filter is None:
        return lambda _: True
    path = f"forwarder.destinations.{destination.name}.filter"
    raw = settings.topic == "raw"
    return compile_filter(settings.filter, destination.catalogue, raw=raw, path=path)


def _encoder(destination: Destination) -> Encoder:
    """Return the kind's encoder, over what redaction leaves of an event."""
    encode = destination.kind.encoder(destination.settings, destination.catalogue)
    if destination.settings.redact is None:
        return encode
    redact = compile_redaction(destination.settings.redact)
    return lambda event: encode(redact(event))
