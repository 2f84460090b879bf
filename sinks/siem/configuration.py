"""The destinations that the settings ask for, and what changes while the forwarder runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from auditbus.runtime import metrics
from auditbus.runtime.errors import AuditbusError
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.destination import Destination, DestinationSettings
from auditbus.sinks.siem.registry import load_destinations

__all__ = ["Configured", "SettingsWatch", "configured"]

_LOOK_EVERY_S = 2.0
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Configured:
    """A destination, and the files that its settings name as they were: path, time, size."""

    destination: Destination
    files: tuple[tuple[str, int, int], ...]


def configured(settings: Settings) -> list[Configured]:
    """Return every destination that `settings` ask for, their secrets read.

    Raises SettingsError naming the field, CatalogueError.
    """
    found = load_destinations(
        settings.forwarder.destinations, os.environ, Catalogue.load(settings.catalogue)
    )
    return [Configured(item, _files(item.settings)) for item in found]


class SettingsWatch:
    """Looks now and then whether the settings ask for other destinations.

    By content, not by a file's time: so a changed secret file or catalogue counts, and a file that
    is written again as it was does not. Settings that are wrong are refused whole; what runs goes
    on. Everything but destinations and catalogue is taken up at the next start.
    """

    def __init__(self, load: Callable[[], Settings], current: Sequence[Configured]) -> None:
        """Compare with `current`; `load` reads the settings."""
        self.trouble: str | None = None
        self._load = load
        self._current = self._seen = list(current)
        self._next_look = time.monotonic() + _LOOK_EVERY_S

    def look(self, *, now: bool = False) -> list[Configured] | None:
        """Return the destinations where they changed, once two looks in a row say the same.

        Most calls return at once: it is not time for a look. `now` looks, and believes it.
        """
        if not now and time.monotonic() < self._next_look:
            return None
        try:
            found = configured(self._load())
        except AuditbusError as error:
            self._refuse(str(error))
            return None
        finally:
            self._next_look = time.monotonic() + _LOOK_EVERY_S
        if self.trouble is not None:
            self.trouble = None
            _log.info("settings_accepted")
        metrics.SETTINGS_REFUSED.set(0)
        # A file that is just being written may be valid half-way, or away: look twice.
        is_settled = now or found == self._seen
        self._seen = found
        if found == self._current or not is_settled:
            return None
        self._current = found
        return found

    def _refuse(self, reason: str) -> None:
        metrics.SETTINGS_REFUSED.set(1)
        trouble = f"settings: refused, the old ones stay in use: {reason}"
        if trouble != self.trouble:
            _log.error("settings_refused", reason=reason)
        self.trouble = trouble


def _files(settings: DestinationSettings) -> tuple[tuple[str, int, int], ...]:
    """Return the marks of certificates and the like, which clients read for themselves."""
    values = (getattr(settings, name) for name in type(settings).model_fields)
    return tuple(_mark(value) for value in values if isinstance(value, Path))


def _mark(path: Path) -> tuple[str, int, int]:
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1  # one that is written to, and not there yet
    return str(path), found.st_mtime_ns, found.st_size
