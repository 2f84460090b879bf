"""Numbers about the log: a histogram over time, and how often each value of a column occurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import Predicate
from auditbus.console.query.selection import select

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


def histogram(client: Client, wanted: Predicate, step: timedelta) -> list[Bucket]:
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


def facet(client: Client, wanted: Predicate, name: str, limit: int = 10) -> Sequence[FacetValue]:
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
