"""How an export is cut into slices of time, newest first, and how many rows there are.

A slice is a month, as the store's partitions are: each is read once. Shorter ones would not do, as
within a partition the events of an account lie together, so that any hour is spread over all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from auditbus.console.query.events import select
from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Plan", "Slice", "plan_export"]


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows` events that happened from `first` to `last`, both included, in one month."""

    first: datetime
    last: datetime
    rows: int

    @property
    def predicate(self) -> Predicate:
        """The condition of lying in it."""
        return Predicate(
            "time BETWEEN {slice_first:DateTime64(3, 'UTC')} AND {slice_last:DateTime64(3, 'UTC')}",
            {
                "slice_first": moment_parameter(self.first),
                "slice_last": moment_parameter(self.last),
            },
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The slices, newest first.

    `newest_receipt` is when the newest of the events was received; what comes later is not part of
    the export, so that it stays the same however long it takes. None where there are no events.
    """

    slices: Sequence[Slice]
    newest_receipt: datetime | None

    @property
    def rows(self) -> int:
        """How many events match."""
        return sum(part.rows for part in self.slices)

    @property
    def predicate(self) -> Predicate:
        """The condition of having been received by then."""
        if self.newest_receipt is None:
            return Predicate("false")
        return Predicate(
            "received_at <= {received_until:DateTime64(3, 'UTC')}",
            {"received_until": moment_parameter(self.newest_receipt)},
        )


def plan_export(client: Client, wanted: Predicate) -> Plan:
    """Return the plan for what is wanted. Raises what the client raises."""
    rows = select(
        client,
        "min(time), max(time), count(), max(received_at), toYYYYMM(time) AS month FROM audit.log",
        wanted,
        " GROUP BY month ORDER BY month DESC",
    )
    slices = [Slice(first, last, count) for first, last, count, *_ in rows]
    return Plan(tuple(slices), max((row[3] for row in rows), default=None))
