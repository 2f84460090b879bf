"""The Retry-After header (RFC 9110, section 10.2.3): seconds, or a date."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["parse_retry_after"]

# A destination that asks for a day is asked again after an hour: it may have been a mistake.
_LONGEST_S = 3600.0


def parse_retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds to wait from `now`, between 0 and 3,600; None where it makes no sense."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_S)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000" reads as unknown zone; HTTP dates are always GMT
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), _LONGEST_S)
