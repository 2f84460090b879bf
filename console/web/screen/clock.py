"""Times as people read them, in the time zone that they chose."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["Clock", "zone_of"]

_UNITS = (
    ("year", 31_557_600),
    ("month", 2_629_800),
    ("day", 86_400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)


def zone_of(name: str) -> ZoneInfo:
    """Return a zone by its IANA name. Raises ValueError where there is no such zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: a name that is a directory of the zone files, such as "Europe".
        raise ValueError("no such time zone: use a name such as Europe/Berlin, or UTC") from None


@dataclass(frozen=True, slots=True)
class Clock:
    """The moment of the request, and the zone in which times are shown."""

    now: datetime
    zone: ZoneInfo

    @property
    def zone_name(self) -> str:
        """`UTC`, or `Europe/Berlin (UTC+1)`."""
        if self.zone.key == "UTC":
            return "UTC"
        offset = self.now.astimezone(self.zone).utcoffset() or timedelta()
        hours, minutes = divmod(abs(int(offset.total_seconds())) // 60, 60)
        sign = "-" if offset < timedelta() else "+"
        place = self.zone.key.replace("_", " ")
        return f"{place} (UTC{sign}{hours}{f':{minutes:02d}' if minutes else ''})"

    def date(self, moment: datetime) -> str:
        """`22 Nov`; `2025-11-22` where it is not of this year."""
        local = moment.astimezone(self.zone)
        if local.year != self.now.astimezone(self.zone).year:
            return f"{local:%Y-%m-%d}"
        return f"{local.day} {local:%b}"

    def time(self, moment: datetime) -> str:
        """`21:43:53`."""
        return f"{moment.astimezone(self.zone):%H:%M:%S}"

    def minute(self, moment: datetime) -> str:
        """`22 Nov, 21:43`."""
        local = moment.astimezone(self.zone)
        return f"{local.day} {local:%b, %H:%M}"

    def day(self, moment: datetime) -> str:
        """`22 Nov`."""
        local = moment.astimezone(self.zone)
        return f"{local.day} {local:%b}"

    def field(self, moment: datetime) -> str:
        """Return the value of an `<input type="datetime-local">`."""
        return f"{moment.astimezone(self.zone):%Y-%m-%dT%H:%M}"

    def full(self, moment: datetime) -> str:
        """`22 November 2026, 21:43:53.123 UTC`."""
        local = moment.astimezone(self.zone)
        milliseconds = f"{local.microsecond // 1000:03d}"
        return f"{local.day} {local:%B %Y, %H:%M:%S}.{milliseconds} {local:%Z}"

    def ago(self, moment: datetime) -> str:
        """`3 minutes ago`, `in 2 hours`."""
        seconds = (self.now - moment).total_seconds()
        for name, length in _UNITS:
            count = int(abs(seconds) // length)
            if count:
                text = f"{count} {name}{'s' if count > 1 else ''}"
                return f"{text} ago" if seconds > 0 else f"in {text}"
        return "just now"

    def title(self, moment: datetime) -> str:
        """Absolute and relative, for a tooltip."""
        return f"{self.full(moment)} · {self.ago(moment)}"

    def iso(self, moment: datetime) -> str:
        """RFC 3339 in UTC, for machines."""
        text = moment.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z")

    def from_field(self, text: str) -> str:
        """Return what an `<input type="datetime-local">` sent as RFC 3339; all else as it is."""
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        if moment.tzinfo is not None or "T" not in text:
            return text
        return moment.replace(tzinfo=self.zone).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
