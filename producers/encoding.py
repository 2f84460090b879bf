"""Encode an event once, strictly: what JSON cannot hold is refused, and the field is named."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
import orjson

from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = ["encode", "encode_parsed"]

_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
_holds_null = re.compile(b"null").search  # quicker than `in` for these lengths
_MAX_DEPTH = 254  # orjson's own limit


def encode(fields: dict[str, Any]) -> tuple[bytes, bool]:
    """Return `fields` as JSON in UTF-8, and whether they hold no structure of `auditbus.schemas`.

    Takes, at any depth, what orjson takes (datetime, date, UUID, Enum and dataclasses among them)
    and the structures of `auditbus.schemas`. Raises InvalidEvent, naming the field, for anything
    else: another type, a key that is no string, NaN or infinity, a whole number past 64 bits.
    """
    has_structs = False
    try:
        raw = orjson.dumps(fields)
    except (orjson.JSONEncodeError, RecursionError):
        has_structs = True
        raw = _encode_structs(fields)
    # orjson writes NaN and infinity as null, silently. Most events hold no null at all: one
    # search through the bytes spares them the walk.
    if _holds_null(raw) is not None and (fault := _fault(fields)) is not None:
        raise fault
    return raw, not has_structs


def encode_parsed(fields: dict[str, Any]) -> tuple[bytes, bool]:
    """Do as `encode` does with fields that came out of a parser of JSON: a null is a null."""
    try:
        return orjson.dumps(fields), True
    except (orjson.JSONEncodeError, RecursionError):
        return encode(fields)


def _encode_structs(fields: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(fields, _to_builtins)
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise _fault(fields) or InvalidEvent(
            RejectCode.WRONG_TYPE, None, f"JSON cannot hold it: {error}"
        ) from None


def _to_builtins(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return msgspec.to_builtins(value)
    raise TypeError(type(value).__name__)


def _fault(fields: dict[str, Any]) -> InvalidEvent | None:
    """Walk the event, without recursion, and return the first thing that JSON cannot hold."""
    pending: list[tuple[str, object, int]] = [("", fields, 0)]
    while pending:
        path, value, depth = pending.pop()
        if depth > _MAX_DEPTH:
            top_level = path.split(".", 1)[0].split("[", 1)[0]
            reason = f"nested deeper than {_MAX_DEPTH} levels, or holds itself"
            return InvalidEvent(RejectCode.TOO_DEEP, top_level, reason)
        if isinstance(value, dict) and (fault := _key_fault(path or None, value)) is not None:
            return fault
        members = _members(path, value)
        if members is None:
            if (fault := _leaf_fault(path or None, value)) is not None:
                return fault
        else:
            # Reversed, so that the first fault in the event's own order is found first.
            pending.extend((name, member, depth + 1) for name, member in reversed([*members]))
    return None


def _members(path: str, value: object) -> Iterator[tuple[str, object]] | None:
    """Yield the members of a container with their paths; None where `value` is a leaf."""
    before = f"{path}." if path else ""
    if isinstance(value, dict):
        return ((f"{before}{key[:100]}", member) for key, member in value.items())
    if isinstance(value, list | tuple):
        return ((f"{path}[{index}]", member) for index, member in enumerate(value))
    if isinstance(value, Enum):
        return iter([(path, value.value)])
    if isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
    elif dataclasses.is_dataclass(value):
        names = tuple(item.name for item in dataclasses.fields(value))
    else:
        return None
    return ((f"{before}{name}", getattr(value, name)) for name in names)


def _key_fault(path: str | None, value: dict[object, object]) -> InvalidEvent | None:
    for key in value:
        if type(key) is not str:
            reason = f"a key is a {type(key).__name__}; JSON has string keys only"
            return InvalidEvent(RejectCode.WRONG_TYPE, path, reason)
        if not _is_utf8(key):
            return InvalidEvent(RejectCode.NOT_UTF8, path, "a key holds a lone surrogate")
    return None


def _leaf_fault(path: str | None, value: object) -> InvalidEvent | None:
    if isinstance(value, float) and not math.isfinite(value):
        return InvalidEvent(RejectCode.INVALID_VALUE, path, "NaN or infinity: JSON has neither")
    if isinstance(value, str) and not _is_utf8(value):
        return InvalidEvent(RejectCode.NOT_UTF8, path, "holds a lone surrogate")
    if isinstance(value, int) and not _INT_MIN <= value <= _INT_MAX:
        return InvalidEvent(RejectCode.INVALID_VALUE, path, "does not fit 64 bits")
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        reason = f"JSON cannot hold a {type(value).__name__}"
        return InvalidEvent(RejectCode.WRONG_TYPE, path, reason)
    return None


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
