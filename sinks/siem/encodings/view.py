"""What every encoder but `json` reads of an event: its typed view, its times, its address.

The raw topic may hold anything. What an encoder would need and does not find is refused here with a
code of `RejectCode` and the field's name; what the stream adds is optional.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import orjson

from auditbus.schemas.client_address import MAX_ADDRESS_CHARS, parse_client_address
from auditbus.schemas.enriched import Device, Location, Origin
from auditbus.schemas.errors import RejectCode
from auditbus.schemas.event import (
    SCHEMA_VERSION,
    Account,
    Actor,
    AuditEvent,
    Context,
    Credential,
    Delegate,
    EventError,
    ProducerStamp,
    Target,
)
from auditbus.schemas.ids import is_uuid7
from auditbus.schemas.resolved import resolved
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.schemas.validation import explain_mismatch
from auditbus.sinks.siem.encodings.event import Event, Unencodable

__all__ = [
    "PARTS",
    "View",
    "address",
    "epoch_ms",
    "finer_time",
    "read_view",
    "received_ms",
    "to_json",
]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SDK_FORM_CHARS = len("2026-11-22T10:00:00.123Z")
_OBJECT, _LIST = (dict, type(None)), (list, type(None))
_milliseconds = {f"{ms:03}": ms for ms in range(1_000)}


@resolved
class View(AuditEvent, frozen=True, kw_only=True):
    """An event, with what the stream adds where it is there."""

    received_at: str | None = None
    category: str | None = None
    operation: str | None = None
    location: Location | None = None
    device: Device | None = None
    origin: Origin | None = None

    @property
    def is_plain(self) -> bool:
        """Tell whether the event has no field but those of its types, at any depth of them."""
        return False


class _Account(Account, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Credential(Credential, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Delegate(Delegate, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Actor(Actor, frozen=True, forbid_unknown_fields=True, gc=False):
    credential: _Credential | None = None
    on_behalf_of: _Delegate | None = None


class _Target(Target, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Error(EventError, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Context(Context, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Producer(ProducerStamp, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Location(Location, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


class _Device(Device, frozen=True, forbid_unknown_fields=True, gc=False):
    pass


@resolved
class _PlainView(View, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """An event as most are: with nothing that the types do not name. Proved while it is read."""

    account: _Account | None = None
    actor: _Actor | None = None
    targets: list[_Target] | None = None  # type: ignore[assignment]  # never written to
    error: _Error | None = None
    context: _Context | None = None
    producer: _Producer | None = None
    location: _Location | None = None
    device: _Device | None = None
    # As they came: what is in them is kept, whatever it is, and looking costs time.
    changes: Any = None
    metadata: Any = None

    @property
    def is_plain(self) -> bool:
        return True


PARTS: Mapping[str, tuple[str, ...]] = {
    "account": Account.__struct_fields__,
    "actor": Actor.__struct_fields__,
    "error": EventError.__struct_fields__,
    "context": Context.__struct_fields__,
    "producer": ProducerStamp.__struct_fields__,
    "location": Location.__struct_fields__,
    "device": Device.__struct_fields__,
}
"""The known parts of each field that is an object."""


def read_view(event: Event) -> View:
    """Return the typed view; raises Unencodable with the field to blame."""
    # From what is parsed: decoding the bytes again makes each text anew, which takes longer.
    try:
        view: View = msgspec.convert(event.fields, _PlainView)
    except msgspec.ValidationError:
        view = _read_any(event)
    if type(view.metadata) not in _OBJECT or type(view.changes) not in _LIST:
        view = _read_any(event)
    if view.schema_version != SCHEMA_VERSION:
        raise Unencodable(
            RejectCode.UNSUPPORTED_VERSION, f"schema_version: {SCHEMA_VERSION} is known here"
        )
    if not is_uuid7(view.id):
        raise Unencodable(RejectCode.INVALID_VALUE, "id: not a UUIDv7 (RFC 9562)")
    return view


def _read_any(event: Event) -> View:
    try:
        return msgspec.convert(event.fields, View)
    except msgspec.ValidationError as error:
        refusal = explain_mismatch(error)
        raise Unencodable(refusal.code, str(refusal)) from None


def epoch_ms(view: View) -> int:
    """Return `occurred_at` in milliseconds since 1970; raises Unencodable where it is no time."""
    return _epoch_ms(view.occurred_at, "occurred_at")


def finer_time(view: View) -> str | None:
    """Return `occurred_at` as it came where it may say more than milliseconds do; else None."""
    return view.occurred_at if len(view.occurred_at) > _SDK_FORM_CHARS else None


def received_ms(view: View, event: Event) -> int | None:
    """Return when the broker took the event; None where nobody knows.

    The raw topic has no `received_at`: there the record's own timestamp is the same.
    """
    if view.received_at is None:
        return event.timestamp_ms if event.timestamp_ms >= 0 else None
    return _received_ms(view.received_at)


def address(text: str | None) -> str | None:
    """Return the IP address in `text` in its canonical form, without port or zone; else None."""
    return _address(text) if text and len(text) <= MAX_ADDRESS_CHARS else None


def to_json(value: Any) -> bytes:
    """Encode; raises Unencodable for what is nested deeper than readers take."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise _too_deep() from None


@lru_cache(maxsize=64)  # the broker gives all records of a producer's batch one timestamp
def _received_ms(text: str) -> int:
    return _epoch_ms(text, "received_at")


@lru_cache(maxsize=8_192)
def _address(text: str) -> str | None:
    found = parse_client_address(text)
    return None if found is None else str(found)


def _epoch_ms(text: str, field: str) -> int:
    try:
        # The form of the SDK and of most: the second is that of many events, and cached.
        if len(text) == _SDK_FORM_CHARS and text[19] == "." and text[23] == "Z":
            return _second_ms(text[:19]) + _milliseconds[text[20:23]]
        since = parse_rfc3339(text) - _EPOCH
    except KeyError:
        raise Unencodable(RejectCode.INVALID_VALUE, f"{field}: not RFC 3339 in UTC") from None
    except ValueError as error:
        raise Unencodable(RejectCode.INVALID_VALUE, f"{field}: {error}") from None
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


@lru_cache(maxsize=1_024)
def _second_ms(text: str) -> int:
    return (parse_rfc3339(text + "Z") - _EPOCH) // timedelta(milliseconds=1)


def _too_deep() -> Unencodable:
    return Unencodable(RejectCode.TOO_DEEP, "nested deeper than 254 levels")
