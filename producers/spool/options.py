"""What a service chooses about its spool."""

from __future__ import annotations

import os
from dataclasses import dataclass

from auditbus.runtime.errors import SettingsError

__all__ = ["Spool"]


@dataclass(frozen=True, slots=True)
class Spool:
    """Where and how much to keep on disk while Kafka can't take events.

    directory   of this service and this Kafka cluster alone; several processes may share it. It is
                made where it is absent, for its owner alone (0700; files 0600): it holds events.
    max_bytes   the limit for each process; beyond it `emit` raises SpoolFull.
    max_age_s   what Kafka could not take for so long is dropped, counted and logged.
    sync_s      how often what was written is forced to the disk (fdatasync), in the background. A
                killed process loses nothing of the spool; a power cut loses at most this long.
                0: before `emit` returns, which then takes as long as the disk does.
    after_s     events that Kafka has not acknowledged for so long are copied to the spool, and all
                later ones go there: until then they are in this process's memory alone.
    """

    directory: str | os.PathLike[str]
    max_bytes: int = 1024 * 1024 * 1024
    max_age_s: float = 7 * 24 * 60 * 60.0
    sync_s: float = 1.0
    after_s: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot work; raises SettingsError."""
        if self.max_bytes < 1:
            raise SettingsError(f"Spool max_bytes: {self.max_bytes} must be positive")
        if self.max_age_s <= 0 or self.after_s <= 0:
            raise SettingsError("Spool max_age_s and after_s must be positive")
        if self.sync_s < 0:
            raise SettingsError(f"Spool sync_s: {self.sync_s:g} must not be negative")
