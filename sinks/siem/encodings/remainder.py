"""What an encoding has no field for: kept, in the form it came in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["WHOLE", "Mapped", "remainder"]

WHOLE: frozenset[str] = frozenset({"*"})
"""Marks a field that is mapped with everything in it."""

Mapped = Mapping[str, frozenset[str]]
"""By top-level field, the names in it that an encoding maps."""


def remainder(fields: Mapping[str, Any], mapped: Mapped) -> dict[str, Any]:
    """Return what of `fields` is not in `mapped`, without nulls and what is empty.

    Fields that `mapped` names must be objects, or WHOLE. The result's outer two levels are new.
    """
    rest = {}
    for name, value in fields.items():
        parts = mapped.get(name)
        if parts is WHOLE or value is None:
            continue
        if parts is not None:
            value = {  # noqa: PLW2901  # what is left of it
                key: part for key, part in value.items() if part is not None and key not in parts
            }
            if not value:
                continue
        rest[name] = value
    return rest
