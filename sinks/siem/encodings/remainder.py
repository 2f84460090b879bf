"""What an encoding has no field for: kept, in the form it came in."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from auditbus.schemas.event import Credential, Delegate, Target
from auditbus.sinks.siem.encodings.view import PARTS, View

__all__ = ["IN_LINES", "Mapped"]


# The objects within an object: of what is mapped of them, all is.
_NESTED = {
    "actor": {
        "credential": Credential.__struct_fields__,
        "on_behalf_of": Delegate.__struct_fields__,
    }
}


class Mapped:
    """What an encoding maps of an event, by name; `rest` returns what is left."""

    def __init__(
        self, whole: Iterable[str], parts: Mapping[str, Iterable[str]], kept: Iterable[str] = ()
    ) -> None:
        """Name the fields that are mapped whole, those of which parts are, and those kept whole."""
        self._parts = {name: frozenset(names) for name, names in parts.items()}
        self._kept = tuple(kept)
        self._known = frozenset((*whole, *self._parts, *self._kept))
        self._left = tuple(
            (name, part)
            for name, mapped in self._parts.items()
            for part in PARTS[name]
            if part not in mapped
        )

    def rest(self, view: View, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return what of `fields` is not mapped, without nulls and empty fields.

        The result's outer two levels are new where a part is mapped; else they are those of
        `fields`, and not to be changed.
        """
        rest: dict[str, Any] = {}
        for name in self._kept:  # quicker than a comprehension, which is a call
            if value := fields.get(name):
                rest[name] = value
        if not view.is_plain:
            self._add_unknown(rest, fields)
            return rest
        for name, part in self._left:  # nothing unknown in it: quicker
            if (value := fields.get(name)) and (left := value.get(part)):
                if name in rest:
                    rest[name][part] = left
                else:
                    rest[name] = {part: left}
        return rest

    def _add_unknown(self, rest: dict[str, Any], fields: Mapping[str, Any]) -> None:
        """Add what is not mapped, looking at every name: a newer producer sends more than we know.

        Targets are kept whole where one of them has more: what it belongs to would not be told.
        """
        for name, parts in self._parts.items():
            known = fields.get(name) or {}
            left = _beside(known, parts)
            for key, names in _NESTED.get(name, {}).items():
                if key in parts and (more := _beside(known.get(key), names)):
                    left[key] = more
            if left:
                rest[name] = left
        rest |= _beside(fields, self._known)
        targets = fields.get("targets") or ()
        if any(_beside(target, Target.__struct_fields__) for target in targets):
            rest["targets"] = targets


def _beside(value: Mapping[str, Any] | None, names: Container[str]) -> dict[str, Any]:
    """Return what is in an object beside `names`."""
    return {key: one for key, one in (value or {}).items() if one is not None and key not in names}


IN_LINES = Mapped(
    whole=(
        *("id", "schema_version", "action", "occurred_at", "description", "outcome"),
        *("received_at", "category", "operation", "targets", "changes", "metadata"),
    ),
    parts={
        "account": ("id", "name"),
        "actor": ("type", "id", "name", "email", "credential", "on_behalf_of"),
        "error": ("code", "message"),
        "context": ("ip", "forwarded_for", "user_agent", "request_id", "session_id", "trace_id"),
    },
    kept=("producer", "location", "device", "origin"),
)
"""What the formats of one line map, CEF and LEEF."""
