"""Intervals of time: as long as each other, one after the other, beginning at 1970 in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Interval", "duration", "last_boundary"]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `first`, included, to `end`, which is not."""

    first: datetime
    end: datetime

    @property
    def predicate(self) -> Predicate:
        """The condition of having been received in it: so each event is in one interval alone.

        By when they happened, events that arrive late would be in none.
        """
        return Predicate(
            "received_at >= {received_since:DateTime64(3, 'UTC')}"
            " AND received_at < {received_end:DateTime64(3, 'UTC')}",
            {
                "received_since": moment_parameter(self.first),
                "received_end": moment_parameter(self.end),
            },
        )

    def __str__(self) -> str:
        """Return it as a part of a file's name, in ISO 8601's basic form."""
        return f"{self.first:%Y%m%dT%H%M%SZ}-{self.end:%Y%m%dT%H%M%SZ}"


def duration(text: str) -> timedelta:
    """Return how long `15m`, `1h` or `1d` is; the settings have checked its form."""
    return timedelta(**{_UNITS[text[-1]]: int(text[:-1])})


def last_boundary(moment: datetime, every: timedelta) -> datetime:
    """Return the last moment up to `moment` where an interval ends and the next begins."""
    return moment - (moment - _BEGINNING) % every
