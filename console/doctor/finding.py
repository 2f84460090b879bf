"""What one check found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "Level"]


class Level(StrEnum):
    """How bad it is: `fail` needs a change before events flow, or before they are safe."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what was looked at, what was found, and what to change where it is not ok.

    `unreachable` marks what could not be asked at all.
    """

    level: Level
    subject: str
    found: str
    change: str = ""
    unreachable: bool = False
