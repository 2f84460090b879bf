"""Numbers about the log: a histogram over time, and how often each value of a column occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditbus.console.query.predicate import Predicate
from auditbus.console.query.selection import Reader, select

__all__ = ["FACETS", "Bucket", "FacetValue", "facet", "histogram"]

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


def histogram(client: Reader, wanted: Predicate, step: timedelta) -> list[Bucket]:
    """Return the buckets of `step` that hold any event of `wanted`, oldest first.

    `wanted` should be bounded in time, or there may be very many. Raises what the client raises.
    """
    rows = select(
        client,
        "intDiv(toUnixTimestamp64Milli(time), {step_ms:Int64}) AS bucket, count(),"
        " countIf(outcome = 'failure') FROM audit.log",
        wanted,
        " GROUP BY bucket ORDER BY bucket",
        {"step_ms": step // timedelta(milliseconds=1)},
    )
    epoch = datetime.fromtimestamp(0, UTC)
    return [Bucket(epoch + bucket * step, count, failures) for bucket, count, failures in rows]


def facet(client: Reader, wanted: Predicate, name: str, limit: int = 10) -> Sequence[FacetValue]:
    """Return the most frequent values of the facet `name` of FACETS among `wanted`.

    The empty value is left out. Raises what the client raises.
    """
    value, label = FACETS[name]
    rows = select(
        client,
        f"{value} AS facet_value, {label}, count() AS events FROM audit.log",
        wanted & Predicate("facet_value != ''"),
        " GROUP BY facet_value ORDER BY events DESC, facet_value LIMIT {most:UInt32}",
        {"most": limit},
    )
    return [FacetValue(*row) for row in rows]


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
