"""Moments as people type them: `2h`, `7d`, `2026-11-22`, RFC 3339 with any offset."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

__all__ = ["parse_since", "parse_until"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_RELATIVE = re.compile(r"([0-9]{1,9})([smhdw])")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_DATE_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_FORMS = "2h (30m, 7d, 4w: that long ago), 2026-11-22 (UTC) or 2026-11-22T10:00:00Z"


def parse_since(text: str, now: datetime) -> datetime:
    """Return the first moment that counts, in UTC; a date means its beginning.

    Raises ValueError with the forms that are understood.
    """
    return _parse(text, now)


def parse_until(text: str, now: datetime) -> datetime:
    """Return the first moment that no longer counts, in UTC; a date counts as a whole.

    Raises ValueError with the forms that are understood.
    """
    moment = _parse(text, now)
    if _DATE.fullmatch(text) and moment.date() < date.max:
        return moment + timedelta(days=1)
    return moment


def _parse(text: str, now: datetime) -> datetime:
    try:
        if match := _RELATIVE.fullmatch(text):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        if _DATE.fullmatch(text):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
        if _DATE_TIME.fullmatch(text):
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass  # of the right form, but no such date or time
    raise ValueError(f"not a time: use {_FORMS}")
