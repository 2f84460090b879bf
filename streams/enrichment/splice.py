"""Enrichment of one event: what the stream adds is spliced onto the producer's own bytes.

Nothing is decoded and encoded again, so unknown fields, number formats and key order survive byte
for byte, and the cost is that of validation. Location and device come as ready JSON from caches.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from auditbus.runtime import metrics
from auditbus.schemas.catalogue import Action, Catalogue
from auditbus.schemas.event import Context
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.schemas.validation import validate
from auditbus.streams.enrichment.device import DeviceLookup
from auditbus.streams.enrichment.fragment_cache import EMPTY_FRAGMENT
from auditbus.streams.enrichment.location import LocationLookup
from auditbus.streams.enrichment.user_agent import PARSED_CHARS

__all__ = ["Enriched", "Enricher"]

_WHITESPACE = b" \t\r\n"
_CLOSING_BRACE = ord("}")
_ADDRESS_CHARS = (
    64  # no address is longer, with brackets, port and zone; keeps the cache's keys small
)
_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class Enriched(NamedTuple):
    """One event ready to be published: `key` is the validated account id."""

    key: bytes
    value: bytes
    is_signal: bool


class Enricher:
    """Validates and enriches events. Not thread-safe; one per worker."""

    def __init__(
        self,
        catalogue: Catalogue,
        locations: LocationLookup,
        devices: DeviceLookup,
        *,
        operator_account: str,
    ) -> None:
        """Prepare the constant parts; `operator_account` stands in where an event names none."""
        self._locations = locations
        self._devices = devices
        self._operator_key = operator_account.encode()
        self._operator_account = msgspec.json.encode({"id": operator_account})
        self._actions = {name: _action_part(action) for name, action in catalogue.items()}
        self._signals = frozenset(name for name, action in catalogue.items() if action.signal)
        self._other = _action_part(catalogue.describe(""))
        self._last_received_at = (-1, b"")
        self._misses_location = metrics.ENRICHMENT_MISSES.labels("location")
        self._misses_device = metrics.ENRICHMENT_MISSES.labels("device")

    def enrich(
        self, value: bytes | None, topic: str, partition: int, offset: int, timestamp_ms: int
    ) -> Enriched:
        """Return the enriched event of one record of the raw topic.

        `timestamp_ms` is the broker's; it becomes `received_at`. Raises InvalidEvent when the
        value is no event; nothing else.
        """
        event = validate(value, broker_time_ms=timestamp_ms)
        raw = value or b""  # validate has refused a tombstone
        key = self._operator_key
        if event.account is None:
            raw = self._with_operator_account(raw)
        else:
            key = event.account.id.encode()
        location, device = self._lookup(event.context)
        enriched = b"".join(
            (
                raw[:-1] if raw[-1] == _CLOSING_BRACE else raw.rstrip(_WHITESPACE)[:-1],
                self._received_at(timestamp_ms),
                self._actions.get(event.action, self._other),
                location,
                b',"device":',
                device,
                b',"origin":{"topic":"%b","partition":%d,"offset":%d}}'
                % (topic.encode(), partition, offset),
            )
        )
        return Enriched(key, enriched, event.action in self._signals)

    def _received_at(self, timestamp_ms: int) -> bytes:
        # The broker gives all records of a producer's batch one timestamp.
        last_ms, part = self._last_received_at
        if timestamp_ms != last_ms:
            part = b',"received_at":"%b"' % format_epoch_ms(timestamp_ms).encode()
            self._last_received_at = (timestamp_ms, part)
        return part

    def _lookup(self, context: Context | None) -> tuple[bytes, bytes]:
        location = device = EMPTY_FRAGMENT
        if context is None:
            return location, device
        if context.ip and len(context.ip) <= _ADDRESS_CHARS:
            location = self._locations.fragments[context.ip]
            if location == EMPTY_FRAGMENT:
                self._misses_location.inc()
        if context.client_hints:
            device = self._devices.fragment(context.user_agent or "", context.client_hints)
        elif context.user_agent:
            device = self._devices.fragments[context.user_agent[:PARSED_CHARS]]
        else:
            return location, device
        if device == EMPTY_FRAGMENT:
            self._misses_device.inc()
        return location, device

    def _with_operator_account(self, raw: bytes) -> bytes:
        """Name the operator's account in an event that has none, or `"account": null`.

        Rare, as the SDK names it. Every other member keeps its bytes.
        """
        members = _members(raw)
        members["account"] = msgspec.Raw(self._operator_account)
        return msgspec.json.encode(members)


def _action_part(action: Action) -> bytes:
    """Return `,"category":…,"operation":…,"location":`: all that comes before the location."""
    category, operation = (msgspec.json.encode(w) for w in (action.category, action.operation))
    return b',"category":%b,"operation":%b,"location":' % (category, operation)
