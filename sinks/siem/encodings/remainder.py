"""What an encoding has no field for: kept, in the form it came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from auditbus.sinks.siem.encodings.view import PARTS, View

__all__ = ["IN_LINES", "Mapped"]


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
        for name in self._kept:
            if value := fields.get(name):
                rest[name] = value
        if view.is_plain:  # nothing unknown in it: quicker
            for name, part in self._left:
                if (value := fields.get(name)) and (left := value.get(part)):
                    rest.setdefault(name, {})[part] = left
            return rest
        for name, parts in self._parts.items():
            if left := {
                key: value
                for key, value in (fields.get(name) or {}).items()
                if value is not None and key not in parts
            }:
                rest[name] = left
        return rest | {
            name: value
            for name, value in fields.items()
            if value is not None and name not in self._known
        }


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
