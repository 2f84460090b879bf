"""What the mappers share: a typed view of a record, times, ids, and what goes to `metadata`.

A mapper takes a record as JSON gives it and returns an event's fields. It raises InvalidEvent,
naming the record's own field, for what cannot be mapped, and never anything else. Of a record it
reads what its view names; `null` and the empty text mean absent, in every format here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
import orjson

from auditbus.producers import Redactor
from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import ACTION_PATTERN, MAX_YEARS_FROM_BROKER_TIME
from auditbus.schemas.ids import derived_uuid7
from auditbus.schemas.timestamps import format_epoch_ms, parse_rfc3339

__all__ = [
    "Members",
    "Moment",
    "SourceFormat",
    "View",
    "action_of",
    "email_in",
    "identity",
    "invalid",
    "members",
    "missing",
    "moment",
    "moment_of_ms",
    "rest_of",
    "view",
]

Members = dict[str, Any]
Moment = tuple[str, int]
"""RFC 3339 in UTC, and the same in milliseconds since 1970."""

_is_action = re.compile(ACTION_PATTERN).fullmatch
_MAX_DISTANCE_MS = 365.25 * MAX_YEARS_FROM_BROKER_TIME * 24 * 60 * 60 * 1000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FAULT_AT = re.compile(r"^(?P<reason>.*?) - at `(?:key in )?\$?\.?(?P<path>.*)`$", re.DOTALL)


class View(msgspec.Struct, frozen=True, gc=False):
    """The members of a record that a mapper reads, with their types. Others are not looked at."""


_V = TypeVar("_V", bound=View)


@dataclass(frozen=True, slots=True)
class SourceFormat:
    """One kind of audit record.

    `map_record(record, account)` returns an event's fields; `account` is what the person gave,
    and wins. `names_account` tells whether records name their account themselves. `envelope` is
    the member that holds the records where many are in one object. `redactor` makes what takes the
    secrets out.
    """

    name: str
    map_record: Callable[[Members, str | None], Members]
    names_account: bool
    envelope: str = "Records"
    redactor: Callable[[], Redactor] = Redactor


def view(kind: type[_V], record: Members) -> _V:
    """Return the typed view. Raises InvalidEvent, naming the member that has another type."""
    try:
        return msgspec.convert(record, kind)
    except msgspec.ValidationError as error:
        found = _FAULT_AT.match(str(error))
        path, reason = (found["path"], found["reason"]) if found else (None, str(error))
        raise InvalidEvent(RejectCode.WRONG_TYPE, path, reason.replace("`", "")) from None


def invalid(field: str, reason: str) -> InvalidEvent:
    """Return why a record is refused, for its value."""
    return InvalidEvent(RejectCode.INVALID_VALUE, field, reason)


def missing(field: str) -> InvalidEvent:
    """Return why a record is refused that lacks what every event has."""
    return InvalidEvent(RejectCode.MISSING_FIELD, field, "required and missing")


@lru_cache(maxsize=4096)
def action_of(field: str, name: str | None) -> str:
    """Return the source's own name of the action. Raises InvalidEvent where it can't be one."""
    if not name:
        raise missing(field)
    if _is_action(name) is None:
        raise invalid(field, f"does not match {ACTION_PATTERN}")
    return name


def members(**values: Any) -> Members:
    """Return those that are neither None nor empty."""
    return {name: value for name, value in values.items() if value}


def rest_of(record: Members, placed: frozenset[str]) -> Members:
    """Return what has no place of its own in the event: all but `placed`, and nulls."""
    rest = record.copy()
    for name in placed:
        rest.pop(name, None)
    for name in [name for name, value in rest.items() if value is None]:
        del rest[name]
    return rest


def email_in(name: str | None) -> str | None:
    """Return `name` where it is an e-mail address."""
    return name if name is not None and "@" in name and " " not in name else None


def identity(at: Moment, source: str, own_id: str | None, record: Members) -> str:
    """Return the event's id, by the record's time and its own id.

    Without one, a record is known by all that it says: its bytes with keys sorted.
    """
    known_by = own_id.encode() if own_id else orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    return derived_uuid7(at[1], source, known_by)


def moment(field: str, value: str | None) -> Moment:
    """Return the instant that RFC 3339 text with any offset names.

    Raises InvalidEvent for other text, and for a time that the stream would refuse.
    """
    if not value:
        raise missing(field)
    try:
        found = _moment(value)
    except (ValueError, OverflowError):
        raise invalid(field, "not a time as RFC 3339 writes it") from None
    _refuse_far(field, found[1])
    return found


def moment_of_ms(field: str, epoch_ms: int) -> Moment:
    """Return the instant so many milliseconds after 1970. Raises InvalidEvent likewise."""
    _refuse_far(field, epoch_ms)
    return format_epoch_ms(epoch_ms), epoch_ms


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


def _refuse_far(field: str, epoch_ms: int) -> None:
    if abs(epoch_ms - time.time() * 1000) > _MAX_DISTANCE_MS:
        raise invalid(field, f"more than {MAX_YEARS_FROM_BROKER_TIME} years from now")
