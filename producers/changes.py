"""What changed between before and after, as the event's `changes`: one entry a field, nested paths.

Takes mappings, dataclasses, pydantic models, Django models, attrs and msgspec classes, known by
what they carry: none of these packages is imported.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Self
from uuid import UUID

__all__ = ["changes_between", "snapshot"]

_ABSENT: Any = object()
_SECRET_KEY = os.urandom(16)  # digests are compared within this process, and shown to nobody
_MAX_DEPTH = 16
_MAX_VALUES = 20_000
_MAX_TEXT = 2048
_MAX_ITEMS = 100
_INT_MIN, _INT_MAX = -(2**63), 2**64 - 1
Change = dict[str, Any]


def changes_between(before: Any, after: Any, *, limit: int = 100) -> list[Change]:
    """Return what differs, as `{"field": "address.city", "before": …, "after": …}`.

    A member that only one side has lacks the other key. None as a whole object is one without
    members, so a creation and a deletion list every field. Mappings and objects are compared member
    by member; lists as a whole, in order; sets without. At most `limit` changes are listed; one
    more, of the field `…`, says how many are not. A text is cut at 2,048 characters and a list at
    100 items. Of pydantic's secrets it is told that they differ, marked `redacted`, and neither
    value. Neither side is altered; for an object that changes in place see `snapshot`.
    """
    before, after = snapshot(before), snapshot(after)
    if not isinstance(before, dict | None) or not isinstance(after, dict | None):
        before, after = {"value": before}, {"value": after}
    found: list[Change] = []
    left_out = 0
    for change in _compare("", before or {}, after or {}):
        if len(found) < limit:
            found.append(change)
        else:
            left_out += 1
    if left_out:
        found.append({"field": "…", "after": f"{left_out} more changes"})
    return found


def snapshot(value: Any) -> Any:
    """Return `value` as it is now, in JSON's types: a later change of it is not seen in there.

        before = snapshot(account)
        account.rename("Acme Ltd")
        changes_between(before, account)

    Dates are ISO 8601, bytes base64, Decimal and UUID text; a set is sorted as text; an object of
    another kind is named by its type. What lies deeper than 16 levels, what holds itself, and what
    comes after 20,000 values is `…`.
    """
    return _Snapshot()(value)


def _compare(path: str, before: Change, after: Change) -> Iterator[Change]:
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name, _ABSENT), after.get(name, _ABSENT)
        field = f"{path}.{name}" if path else name
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _compare(field, old, new)
        elif type(old) is not type(new) or old != new:  # 1, 1.0 and True differ to a reader
            change: Change = {"field": field}
            if isinstance(old, _Secret) or isinstance(new, _Secret):
                change["redacted"] = True
            if old is not _ABSENT:
                change["before"] = _cut(old)
            if new is not _ABSENT:
                change["after"] = _cut(new)
            yield change


class _Secret(str):
    """What stands for a secret: reads as the mark, and is equal only to that of the same secret."""

    __slots__ = ("_digest",)
    _digest: bytes

    def __new__(cls, value: object) -> Self:
        made = super().__new__(cls, "[redacted]")
        raw = value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")
        made._digest = hashlib.blake2b(raw, key=_SECRET_KEY).digest()
        return made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Secret) and self._digest == other._digest

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


class _Snapshot:
    """One conversion: what is left to spend, and what it is inside of."""

    def __init__(self) -> None:
        self._left = _MAX_VALUES
        self._inside: set[int] = set()

    def __call__(self, value: Any) -> Any:
        self._left -= 1
        if isinstance(value, _Secret):
            return value
        for kinds, convert in _LEAVES:
            if isinstance(value, kinds):
                return convert(value)
        if self._left < 0 or len(self._inside) >= _MAX_DEPTH or id(value) in self._inside:
            return "…"
        self._inside.add(id(value))
        try:
            return self._container(value)
        finally:
            self._inside.discard(id(value))

    def _container(self, value: Any) -> Any:
        if hasattr(type(value), "get_secret_value"):
            return _Secret(value.get_secret_value())
        if isinstance(value, set | frozenset):
            # Sorted as text: what a set holds need not be comparable, and its order means nothing.
            return sorted(map(self, value), key=repr)
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        members = _members(value)
        if members is None:
            return f"<{type(value).__qualname__}>"
        return {str(name): self(member) for name, member in members}


def _members(value: Any) -> Iterable[tuple[Any, Any]] | None:
    """Return the members of a mapping or an object; None where `value` is of another kind."""
    if isinstance(value, Mapping):
        return [*value.items()]
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        names = [item.name for item in dataclasses.fields(kind)]
    elif hasattr(kind, "model_dump") and hasattr(kind, "model_fields"):
        names = [*kind.model_fields, *(getattr(value, "model_extra", None) or ())]
    elif hasattr(kind, "__struct_fields__"):
        names = [*kind.__struct_fields__]
    elif hasattr(kind, "__attrs_attrs__"):
        names = [attribute.name for attribute in kind.__attrs_attrs__]
    elif hasattr(model := getattr(kind, "_meta", object), "concrete_fields"):
        # What is loaded: a deferred field would cost a query. `attname` is `owner_id`.
        names = [field.attname for field in model.concrete_fields if field.attname in vars(value)]
    else:
        return None
    return [(name, getattr(value, name, None)) for name in names]


def _integer(value: int) -> int | str:
    return int(value) if _INT_MIN <= value <= _INT_MAX else str(value)


def _number(value: float) -> float | str:
    return float(value) if math.isfinite(value) else str(value)


def _base64(value: bytes | bytearray | memoryview) -> str:
    return base64.b64encode(value).decode()


def _text(value: str) -> str:
    # A lone surrogate (a file name, say) would make the whole event invalid.
    return str.__str__(value).encode("utf-8", "replace").decode()


_LEAVES: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (type(None), lambda value: value),
    (bool, lambda value: value),
    (Enum, lambda value: snapshot(value.value)),
    (str, _text),
    (int, _integer),
    (float, _number),
    ((Decimal, UUID), str),
    ((date, time), lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    ((bytes, bytearray, memoryview), _base64),
)


def _cut(value: Any) -> Any:
    if isinstance(value, _Secret):
        return str.__str__(value)  # the mark alone
    if isinstance(value, str):
        return value if len(value) <= _MAX_TEXT else f"{value[:_MAX_TEXT]}…"
    if isinstance(value, list):
        shown = [_cut(item) for item in value[:_MAX_ITEMS]]
        return shown if len(value) <= _MAX_ITEMS else [*shown, f"… {len(value) - _MAX_ITEMS} more"]
    if isinstance(value, dict):
        return {name: _cut(member) for name, member in [*value.items()][:_MAX_ITEMS]}
    return value
