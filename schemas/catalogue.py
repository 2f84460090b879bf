"""The action catalogue: what each action is about, how serious it is, whether alerts watch it.

The built-in one holds the 41 actions of the product page (`actions.toml`); an operator's TOML file
of the same form adds to it or replaces entries. An action in neither is still a valid event.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from auditbus.schemas.errors import AuditbusError
from auditbus.schemas.event import ACTION_PATTERN
from auditbus.schemas.resolved import resolved

__all__ = ["Action", "Catalogue", "CatalogueError", "Severity"]

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Severity(StrEnum):
    """Least to most serious; `rank` compares them."""

    INFORMATIONAL = "informational"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 (informational) to 4 (critical)."""
        return list(Severity).index(self)


class CatalogueError(AuditbusError):
    """An operator's catalogue file is wrong; names the file, the action and the key."""


@resolved
class _Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    category: str
    operation: str
    description: str = ""
    severity: Severity = Severity.LOW
    signal: bool = False


class Action(msgspec.Struct, frozen=True):
    """One action; `signal` says whether its events also go to the signals topic."""

    name: str
    category: str
    operation: str
    description: str
    severity: Severity
    signal: bool


class Catalogue(Mapping[str, Action]):
    """Actions by name. Looking up an unknown name raises KeyError; `describe` never does."""

    def __init__(self, actions: Mapping[str, Action]) -> None:
        """Hold `actions`, keyed by their names."""
        self._actions = dict(actions)

    @classmethod
    @cache
    def builtin(cls) -> Catalogue:
        """Return the 41 built-in actions."""
        text = (resources.files(__package__) / "actions.toml").read_text(encoding="utf-8")
        return cls(_parse(text, "actions.toml"))

    @classmethod
    def load(cls, path: Path | None = None) -> Catalogue:
        """Return the built-in catalogue with the operator's file over it.

        Raises CatalogueError when the file can't be read or an entry is wrong.
        """
        builtin = cls.builtin()
        if path is None:
            return builtin
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogueError(f"catalogue {path}: {error}") from error
        return cls({**builtin, **_parse(text, str(path))})

    def describe(self, name: str) -> Action:
        """Return the action, or a neutral entry (`other`, severity low) for an unknown name."""
        return self._actions.get(name) or Action(name, "other", "other", "", Severity.LOW, False)

    def __getitem__(self, name: str) -> Action:
        """Return the action called `name`."""
        return self._actions[name]

    def __iter__(self) -> Iterator[str]:
        """Yield the names in the order of the files."""
        return iter(self._actions)

    def __len__(self) -> int:
        """Count the actions."""
        return len(self._actions)


def _parse(text: str, source: str) -> dict[str, Action]:
    try:
        tables: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"catalogue {source}: {error}") from error
    return {name: _action(name, table, source) for name, table in tables.items()}


def _action(name: str, table: object, source: str) -> Action:
    where = f"catalogue {source}, action {name}"
    if not re.fullmatch(ACTION_PATTERN, name):
        raise CatalogueError(f"{where}: the name does not match {ACTION_PATTERN}")
    try:
        entry = msgspec.convert(table, _Entry)
    except msgspec.ValidationError as error:
        raise CatalogueError(f"{where}: {error}") from None
    for key in ("category", "operation"):
        if not _WORD.fullmatch(getattr(entry, key)):
            raise CatalogueError(f"{where}: {key} must match {_WORD.pattern}")
    return Action(
        name, entry.category, entry.operation, entry.description, entry.severity, entry.signal
    )
