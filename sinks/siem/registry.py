"""The kinds of destination, and how a settings table becomes one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import ValidationError

from auditbus.runtime.errors import MissingExtra, SettingsError
from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.destination import Destination, DestinationKind
from auditbus.sinks.siem.filters import compile_filter
from auditbus.sinks.siem.secrets import resolve_secrets

__all__ = ["GROUP", "built_in_kinds", "load_destinations"]

GROUP = "auditbus.destinations"
"""Entry point group in which a third-party package offers a `DestinationKind`."""

# One line a kind; loaded only when it is used.
_BUILT_IN = {
    "elasticsearch": "auditbus.sinks.siem.destinations.elasticsearch:KIND",
    "file": "auditbus.sinks.siem.destinations.file:KIND",
    "otlp": "auditbus.sinks.siem.destinations.otlp:KIND",
    "splunk": "auditbus.sinks.siem.destinations.splunk:KIND",
    "syslog": "auditbus.sinks.siem.destinations.syslog:KIND",
    "webhook": "auditbus.sinks.siem.destinations.webhook:KIND",
}

# Part of a consumer group's name and a metric label.
_is_name = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}").fullmatch


def load_destinations(
    tables: Mapping[str, Mapping[str, Any]],
    environ: Mapping[str, str],
    catalogue: Catalogue | None = None,
) -> list[Destination]:
    """Build every destination of `settings.forwarder.destinations`.

    `catalogue` is the operator's, the built-in one by default. Raises SettingsError naming
    `forwarder.destinations.NAME.field`, all of a table's faults in one.
    """
    catalogue = catalogue or Catalogue.builtin()
    return [_load(name, table, environ, catalogue) for name, table in tables.items()]


def built_in_kinds() -> dict[str, DestinationKind]:
    """Load every kind of this package, by name."""
    return {name: EntryPoint(name, value, GROUP).load() for name, value in _BUILT_IN.items()}


def _load(
    name: str, table: Mapping[str, Any], environ: Mapping[str, str], catalogue: Catalogue
) -> Destination:
    path = f"forwarder.destinations.{name}"
    if not _is_name(name):
        raise SettingsError(f"{path}: a name is 1 to 63 of a-z, 0-9, _ and -")
    kind = _kind(table.get("type"), f"{path}.type")
    values = resolve_secrets(kind.settings, table, path, environ)
    try:
        settings = kind.settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(_explain(path, error)) from None
    if settings.filter is not None:
        raw = settings.topic == "raw"
        compile_filter(settings.filter, catalogue, raw=raw, path=f"{path}.filter")
    return Destination(name, kind, settings, catalogue)


def _kind(type_name: object, path: str) -> DestinationKind:
    known = {name: EntryPoint(name, value, GROUP) for name, value in _BUILT_IN.items()}
    wanted = type_name if isinstance(type_name, str) else ""
    if wanted not in known:  # looking through every installed package takes its time
        known = {entry.name: entry for entry in entry_points(group=GROUP)} | known
    if wanted not in known:
        raise SettingsError(f"{path}: must be one of: {', '.join(sorted(known))}")
    try:
        kind = known[wanted].load()
    except (ImportError, AttributeError) as error:
        if wanted in _BUILT_IN and isinstance(error, ModuleNotFoundError):
            raise MissingExtra("forwarder", error.name or wanted) from error
        raise SettingsError(f"{path}: {wanted} cannot be loaded: {error}") from error
    if not isinstance(kind, DestinationKind):
        raise SettingsError(f"{path}: the entry point {wanted} is not a DestinationKind")
    return kind


def _explain(path: str, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return "\n".join(".".join((path, *map(str, e["loc"]))) + f": {e['msg']}" for e in found)
