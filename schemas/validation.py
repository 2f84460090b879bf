r"""Is this an audit event? One function, used by the SDK before sending and by the stream.

The hot path proves three things with C code alone: `orjson` parses strictly (UTF-8, no NaN, no
lone surrogates), encoding the result again gives the same bytes back only if no key was repeated
at any depth, and `msgspec` checks the types. Bytes that are valid but spelt another way (spaces,
`\u0041`, `1.50`) take a slower path that looks for repeated keys itself.
"""

from __future__ import annotations

import json
import math
import re
from functools import lru_cache
from typing import Any, NoReturn

import msgspec
import orjson

from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import (
    ACTION_PATTERN,
    MAX_EVENT_BYTES,
    MAX_METADATA_BYTES,
    MAX_METADATA_KEY_CHARACTERS,
    MAX_METADATA_KEYS,
    MAX_YEARS_FROM_BROKER_TIME,
    RESERVED_FIELDS,
    SCHEMA_VERSION,
    AuditEvent,
)
from auditbus.schemas.ids import is_uuid7
from auditbus.schemas.strict import StrictEvent
from auditbus.schemas.timestamps import parse_rfc3339

__all__ = ["explain_mismatch", "parse_object", "strict_view", "validate", "validate_fields"]

_action_match = re.compile(ACTION_PATTERN).fullmatch
_MAX_ACTION_CHARACTERS = 100  # as the pattern says: nothing longer gets a place in the cache
_RECENT_TEXTS = 1024
_MAX_DISTANCE_MS = 365.25 * MAX_YEARS_FROM_BROKER_TIME * 24 * 60 * 60 * 1000
_MSGSPEC_PATH = re.compile(r"^(?P<reason>.*?)(?: - at `(?:key in )?\$?(?P<path>.*)`)?$", re.DOTALL)
_MSGSPEC_MISSING = re.compile(r"^Object missing required field `(?P<name>.+)`$")
# The range in which every JSON reader downstream agrees with every other (RFC 8259, section 6).
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1


def validate(raw: bytes | None, *, broker_time_ms: int | None = None) -> AuditEvent:
    """Return the typed view of one event.

    `raw` is the record's value; None is a tombstone. `broker_time_ms` is the broker's timestamp
    in milliseconds since 1970; with it, an `occurred_at` more than ten years away is refused.

    Raises InvalidEvent, with a code and the field to blame. Never raises anything else.
    """
    return validate_fields(parse_object(raw), len(raw or b""), broker_time_ms=broker_time_ms)


def validate_fields(
    fields: dict[str, Any], size_bytes: int, *, broker_time_ms: int | None = None
) -> AuditEvent:
    """Judge an event that has been parsed: the second half of `validate`.

    `fields` is what JSON gives: a structure or a type of Python's own in it is not looked into.
    `size_bytes` is its length as JSON. Raises InvalidEvent.
    """
    version = fields.get("schema_version")
    if type(version) is int and version != SCHEMA_VERSION:
        # Before anything else is judged: another version may well have other rules.
        _refuse(
            RejectCode.UNSUPPORTED_VERSION,
            "schema_version",
            f"version {version} is not known here, {SCHEMA_VERSION} is; upgrade the stream first",
        )
    if not RESERVED_FIELDS.isdisjoint(fields):
        name = min(RESERVED_FIELDS & fields.keys())
        _refuse(RejectCode.RESERVED_NAME, name, "reserved: the stream adds this field")
    try:
        event = msgspec.convert(fields, AuditEvent)
    except msgspec.ValidationError as error:
        raise explain_mismatch(error) from None
    _check_identity(event, broker_time_ms)
    _check_values(event, size_bytes)
    return event


def strict_view(
    fields: dict[str, Any], size_bytes: int, *, broker_time_ms: int, is_new: bool
) -> StrictEvent | None:
    """Return the view of an event that is valid and holds only what the schema names; else None.

    `is_new` tells that the caller has just made `id` and `occurred_at`: they need no proof.
    """
    try:  # reserved names are unknown ones
        event = msgspec.convert(fields, StrictEvent)
        if not is_new:
            _check_identity(event, broker_time_ms)
        _check_values(event, size_bytes)
    except (msgspec.ValidationError, InvalidEvent):
        return None
    return event


def parse_object(raw: bytes | None) -> dict[str, Any]:
    """Return the JSON object that `raw` holds, strictly read: the first half of `validate`.

    Raises InvalidEvent for what is no JSON object that every reader understands alike.
    """
    if raw is None:
        _refuse(RejectCode.TOMBSTONE, None, "a record without a value (tombstone) is no event")
    if not raw:
        _refuse(RejectCode.EMPTY, None, "the value is empty")
    if len(raw) > MAX_EVENT_BYTES:
        _refuse(RejectCode.TOO_LARGE, None, f"{len(raw):,} bytes; the limit is {MAX_EVENT_BYTES:,}")
    try:
        fields = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _from_orjson(raw, error) from None
    if type(fields) is not dict:
        _refuse(RejectCode.NOT_AN_OBJECT, None, "the value is not a JSON object")
    try:
        canonical = orjson.dumps(fields)
    except orjson.JSONEncodeError:
        _refuse(RejectCode.TOO_DEEP, None, "nested deeper than 254 levels")
    if canonical != raw:
        _check_spelling(raw)
    return fields


def _check_spelling(raw: bytes) -> None:
    """Look for repeated keys and for numbers that readers downstream would not agree on."""
    try:
        json.loads(
            raw, object_pairs_hook=_unique_keys, parse_int=_safe_int, parse_float=_safe_float
        )
    except RecursionError:
        _refuse(RejectCode.TOO_DEEP, None, "nested deeper than 254 levels")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                _refuse(RejectCode.REPEATED_KEY, key[:100], "the key is repeated in one object")
            seen.add(key)
    return members


def _safe_int(text: str) -> int:
    # int() of thousands of digits is slow and refused by Python itself; 20 hold any 64-bit number.
    if len(text) > len(str(_INT_MIN)) or not _INT_MIN <= int(text) <= _INT_MAX:
        _refuse(RejectCode.INVALID_VALUE, None, "a whole number that does not fit 64 bits")
    return int(text)


def _safe_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _refuse(RejectCode.INVALID_VALUE, None, "a number that does not fit a 64-bit float")
    return value


@lru_cache(maxsize=_RECENT_TEXTS)
def _is_action(text: str) -> bool:
    """Tell whether `text` is an action's name; a service has few, and repeats them."""
    return _action_match(text) is not None


@lru_cache(maxsize=_RECENT_TEXTS)
def _epoch_ms(text: str) -> float:
    """Return milliseconds since 1970; what is made in one of them bears one text."""
    return parse_rfc3339(text).timestamp() * 1000


def _check_identity(event: AuditEvent, broker_time_ms: int | None) -> None:
    if not is_uuid7(event.id):
        _refuse(RejectCode.INVALID_VALUE, "id", "not a UUIDv7 (RFC 9562)")
    try:
        occurred_at_ms = _epoch_ms(event.occurred_at)
    except ValueError as error:
        _refuse(RejectCode.INVALID_VALUE, "occurred_at", str(error))
    # Compared as numbers: quicker, and a broker's time may lie past what a datetime holds.
    if broker_time_ms is not None and abs(occurred_at_ms - broker_time_ms) > _MAX_DISTANCE_MS:
        _refuse(
            RejectCode.INVALID_VALUE,
            "occurred_at",
            f"more than {MAX_YEARS_FROM_BROKER_TIME} years from the broker's time",
        )


def _check_values(event: AuditEvent, size_bytes: int) -> None:
    if event.schema_version != SCHEMA_VERSION:
        _refuse(RejectCode.WRONG_TYPE, "schema_version", f"must be {SCHEMA_VERSION}")
    if len(event.action) > _MAX_ACTION_CHARACTERS or not _is_action(event.action):
        _refuse(RejectCode.INVALID_VALUE, "action", f"does not match {ACTION_PATTERN}")
    if event.account is not None and not event.account.id:
        _refuse(RejectCode.INVALID_VALUE, "account.id", "is empty")
    if event.metadata:
        _check_metadata(event.metadata, size_bytes)


def _check_metadata(metadata: dict[str, Any], size_bytes: int) -> None:
    if len(metadata) > MAX_METADATA_KEYS:
        _refuse(
            RejectCode.INVALID_VALUE,
            "metadata",
            f"{len(metadata)} keys; the limit is {MAX_METADATA_KEYS}",
        )
    if max(map(len, metadata)) > MAX_METADATA_KEY_CHARACTERS:
        long_key = max(metadata, key=len)
        _refuse(
            RejectCode.INVALID_VALUE,
            f"metadata.{long_key[:MAX_METADATA_KEY_CHARACTERS]}…",
            f"the key has {len(long_key)} characters; the limit is {MAX_METADATA_KEY_CHARACTERS}",
        )
    # Encoding metadata again only matters where the event is large enough to break the limit.
    if size_bytes > MAX_METADATA_BYTES and len(orjson.dumps(metadata)) > MAX_METADATA_BYTES:
        _refuse(RejectCode.INVALID_VALUE, "metadata", f"the limit is {MAX_METADATA_BYTES:,} bytes")


def _from_orjson(raw: bytes, error: orjson.JSONDecodeError) -> InvalidEvent:
    try:
        raw.decode()
    except UnicodeDecodeError as broken:
        reason = f"not valid UTF-8 at byte {broken.start}"
        return InvalidEvent(RejectCode.NOT_UTF8, None, reason)
    if "depth" in error.msg:
        return InvalidEvent(RejectCode.TOO_DEEP, None, "nested deeper than 254 levels")
    # error.msg names position and fault; error.doc would quote the event.
    return InvalidEvent(
        RejectCode.MALFORMED_JSON,
        None,
        f"not JSON: {error.msg} (line {error.lineno}, column {error.colno})",
    )


def explain_mismatch(error: msgspec.ValidationError) -> InvalidEvent:
    """Turn "Expected `str`, got `int` - at `$.account.id`" into a code, a field and a reason."""
    message = str(error)
    match = _MSGSPEC_PATH.match(message)
    reason, path = (match["reason"], match["path"]) if match else (message, None)
    path = (path or "").lstrip(".")
    if missing := _MSGSPEC_MISSING.match(reason):
        field = f"{path}.{missing['name']}" if path else missing["name"]
        return InvalidEvent(RejectCode.MISSING_FIELD, field, "required and missing")
    if reason.startswith("Invalid enum value"):  # the rest quotes the event
        return InvalidEvent(RejectCode.INVALID_VALUE, path or None, "not one of the allowed values")
    return InvalidEvent(RejectCode.WRONG_TYPE, path or None, reason.replace("`", ""))


def _refuse(code: RejectCode, field: str | None, reason: str) -> NoReturn:
    raise InvalidEvent(code, field, reason)
