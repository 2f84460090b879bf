"""What the mappers share: taking members out of a record, strictly, and the event's common parts.

A mapper takes a record as JSON gives it and returns an event's fields. It raises InvalidEvent,
naming the record's own field, for what cannot be mapped, and never anything else. `null` means
absent, in every format here. A member is taken out of the record once it has a place of its own,
whole; what is left goes to `metadata` under the format's name.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import orjson

from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import ACTION_PATTERN, MAX_YEARS_FROM_BROKER_TIME
from auditbus.schemas.ids import derived_uuid7
from auditbus.schemas.timestamps import format_epoch_ms, parse_rfc3339

__all__ = [
    "EventMapping",
    "Members",
    "Moment",
    "SourceFormat",
    "action_of",
    "canonical",
    "compact",
    "email_in",
    "identity",
    "invalid",
    "members",
    "metadata",
    "moment",
    "moment_of_ms",
    "object_of",
    "objects_of",
    "required",
    "text",
    "texts_of",
]

Members = dict[str, Any]
EventMapping = dict[str, Any]
Moment = tuple[str, int]
"""RFC 3339 in UTC, and the same in milliseconds since 1970."""

_is_action = re.compile(ACTION_PATTERN).fullmatch
_MAX_DISTANCE_MS = 365.25 * MAX_YEARS_FROM_BROKER_TIME * 24 * 60 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """One kind of audit record.

    `map_record(record, account)` may change the record. `account` is what the person gave, and
    wins. `names_account` tells whether records name their account themselves. `envelope` is the
    member that holds the records where many are in one object.
    """

    name: str
    map_record: Callable[[Members, str | None], EventMapping]
    names_account: bool
    envelope: str = "Records"


def invalid(field: str, reason: str) -> InvalidEvent:
    """Return why a record is refused, for its value."""
    return InvalidEvent(RejectCode.INVALID_VALUE, field, reason)


def action_of(field: str, name: str) -> str:
    """Return the source's own name of the action. Raises InvalidEvent where it can't be one."""
    if _is_action(name) is None:
        raise invalid(field, f"does not match {ACTION_PATTERN}")
    return name


def text(record: Members, field: str, path: str = "") -> str | None:
    """Take a text out of the record; an empty one is absent. Raises InvalidEvent for a non-text."""
    value = record.pop(field, None)
    if value is None or value == "":
        return None
    if type(value) is not str:
        raise _wrong_type(path + field, "a string", value)
    return value


def required(record: Members, field: str) -> str:
    """Take a text that must be there."""
    value = text(record, field)
    if value is None:
        raise InvalidEvent(RejectCode.MISSING_FIELD, field, "required and missing")
    return value


def object_of(record: Members, field: str, path: str = "") -> Members:
    """Return a copy of an object in the record, which stays there; an absent one is empty."""
    value = record.get(field)
    if value is None:
        return {}
    if type(value) is not dict:
        raise _wrong_type(path + field, "an object", value)
    return value.copy()


def objects_of(record: Members, field: str) -> list[Members]:
    """Return copies of a list of objects in the record, which stays there."""
    value = record.get(field)
    if value is None:
        return []
    if type(value) is not list:
        raise _wrong_type(field, "an array", value)
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise _wrong_type(f"{field}[{index}]", "an object", item)
    return [item.copy() for item in value]


def texts_of(record: Members, field: str) -> list[str]:
    """Take a list of texts out of the record."""
    value = record.pop(field, None)
    if value is None:
        return []
    if type(value) is not list:
        raise _wrong_type(field, "an array", value)
    for index, item in enumerate(value):
        if type(item) is not str:
            raise _wrong_type(f"{field}[{index}]", "a string", item)
    return value


def members(**values: Any) -> dict[str, Any]:
    """Return those that are neither None nor empty."""
    return {name: value for name, value in values.items() if value}


def compact(fields: EventMapping) -> EventMapping:
    """Return the event without its empty parts."""
    return {name: value for name, value in fields.items() if value}


def metadata(name: str, rest: Members) -> dict[str, Any] | None:
    """Return what has no place of its own, under the format's name; its nulls say nothing."""
    kept = {key: value for key, value in rest.items() if value is not None}
    return {name: kept} if kept else None


def email_in(name: str | None) -> str | None:
    """Return `name` where it is an e-mail address."""
    return name if name is not None and "@" in name and " " not in name else None


def canonical(record: Members) -> bytes:
    """Return the record's bytes in one spelling: keys sorted, no white space."""
    return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)


def moment(field: str, value: str) -> Moment:
    """Return the instant that RFC 3339 text with any offset names.

    Raises InvalidEvent for other text, and for a time that the stream would refuse.
    """
    try:
        found = _moment(value)
    except (ValueError, OverflowError):
        raise invalid(field, "not a time as RFC 3339 writes it") from None
    return _near(field, found)


def moment_of_ms(field: str, value: object) -> Moment:
    """Return the instant so many milliseconds after 1970."""
    if type(value) is not int:
        raise _wrong_type(field, "a whole number of milliseconds", value)
    if abs(value - time.time_ns() // 1_000_000) > _MAX_DISTANCE_MS:
        raise _far(field)
    return format_epoch_ms(value), value


def identity(at: Moment, source: str, source_id: bytes) -> str:
    """Return the event's id: that of the record's time and of its own id."""
    return derived_uuid7(at[1], source, source_id)


@lru_cache(maxsize=4096)
def _moment(value: str) -> Moment:
    try:
        parsed = parse_rfc3339(value)
    except ValueError:
        parsed = datetime.fromisoformat(value)
        if parsed.tzinfo is None:
            raise
        parsed = parsed.astimezone(UTC)
        value = parsed.isoformat(timespec="microseconds").replace("+00:00", "Z")
    # Whole numbers: a float would round the last millisecond.
    since = parsed - _EPOCH
    return value, (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _near(field: str, found: Moment) -> Moment:
    if abs(found[1] - time.time_ns() // 1_000_000) > _MAX_DISTANCE_MS:
        raise _far(field)
    return found


def _far(field: str) -> InvalidEvent:
    return invalid(field, f"more than {MAX_YEARS_FROM_BROKER_TIME} years from now")


def _wrong_type(field: str, wanted: str, value: object) -> InvalidEvent:
    return InvalidEvent(
        RejectCode.WRONG_TYPE, field, f"must be {wanted}, not {type(value).__name__}"
    )
