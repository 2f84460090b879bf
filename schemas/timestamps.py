"""RFC 3339 timestamps in UTC, the only form of time an event carries."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

__all__ = ["format_epoch_ms", "parse_rfc3339"]

# The hour is bound here: from Python 3.14 on, fromisoformat takes 24:00 for midnight.
# Seconds may carry 1 to 9 decimals. Only UTC: one spelling of an instant keeps text sortable.
_is_rfc3339_utc = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}"
    r"(?:\.[0-9]{1,9})?(?:Z|\+00:00)"
).fullmatch


def parse_rfc3339(text: str) -> datetime:
    """Parse RFC 3339 in UTC (`2026-11-22T10:00:00.123Z`); digits past microseconds are dropped.

    Raises ValueError for any other form, and for a date or time that does not exist.
    """
    if _is_rfc3339_utc(text) is None:
        raise ValueError("not RFC 3339 in UTC, such as 2026-11-22T10:00:00.123Z")
    return datetime.fromisoformat(text)


@lru_cache(maxsize=64)
def _second_text(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=16)  # a busy service makes many in one millisecond
def format_epoch_ms(epoch_ms: int) -> str:
    """Format milliseconds since 1970 as `2026-11-22T10:00:00.123Z`."""
    epoch_s, ms = divmod(epoch_ms, 1000)
    return f"{_second_text(epoch_s)}.{ms:03d}Z"
