"""What numbers about the log are made of: buckets of time, and values of a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

__all__ = ["FACETS", "Bucket", "FacetValue", "every_bucket", "sensible_step"]

# The expression whose values are counted, and the one that names a value for people.
FACETS = {
    "action": ("action", "action"),
    "category": ("category", "category"),
    "account": ("account", "any(account_name)"),
    "user": ("actor_id", "any(if(actor_name != '', actor_name, actor_email))"),
    "country": ("country_code", "any(country)"),
    "device": ("device", "device"),
    "outcome": ("toString(outcome)", "toString(outcome)"),
}


@dataclass(frozen=True, slots=True)
class Bucket:
    """Events from `start` until the next bucket's start."""

    start: datetime
    count: int
    failures: int


@dataclass(frozen=True, slots=True)
class FacetValue:
    """One value of a column; `label` is for people, `value` for the filter of the same name."""

    value: str
    label: str
    count: int


# What people count in; the first that gives some sixty buckets at most.
_STEPS = tuple(
    timedelta(seconds=seconds)
    for seconds in (
        *(1, 5, 10, 30, 60, 300, 600, 1800),
        *(3600, 3 * 3600, 6 * 3600, 12 * 3600, 86_400, 7 * 86_400, 28 * 86_400),
    )
)
_MOST_BUCKETS = 60


def sensible_step(span: timedelta) -> timedelta:
    """Return a round width, so that `span` has some sixty buckets at most; 28 days at most."""
    return next((step for step in _STEPS if span / step <= _MOST_BUCKETS), _STEPS[-1])


def every_bucket(
    found: Sequence[Bucket], since: datetime, until: datetime, step: timedelta
) -> list[Bucket]:
    """Return `found` with the empty buckets between `since` and `until` filled in, oldest first.

    Starts are multiples of `step` since 1970. What lies after `until` (a wrong clock) is left out.
    """
    epoch = datetime.fromtimestamp(0, UTC)
    first = (since - epoch) // step
    last = (until - epoch - timedelta(milliseconds=1)) // step
    known = {bucket.start: bucket for bucket in found}
    starts = (epoch + number * step for number in range(first, last + 1))
    return [known.get(start) or Bucket(start, 0, 0) for start in starts]
