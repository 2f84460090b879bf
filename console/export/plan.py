"""How an export is cut into slices of time, newest first, and how many rows there are.

One query for everything would make the engine sort all of it. A slice is sorted in a moment, and
an export that was interrupted goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

from clickhouse_connect.driver.client import Client

from auditbus.console.query.events import select
from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Plan", "Slice", "plan_export"]

_SLICE_ROWS = 100_000
# Tried in turn, where a slice of the one before holds too much: a bulk import may fill an hour.
_STEPS = (timedelta(days=1), timedelta(hours=1), timedelta(seconds=1))


@dataclass(frozen=True, slots=True)
class Slice:
    """`rows` events that happened from `first` to `last`, both included."""

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
    """Return the plan for what is wanted. Reads the times alone. Raises what the client raises."""
    (newest,) = select(client, "max(received_at), count() FROM audit.log", wanted)
    receipt, rows = newest
    if not rows:
        return Plan((), None)
    empty = Plan((), receipt)
    days = _buckets(client, wanted & empty.predicate, _STEPS)
    return Plan(tuple(_merged(days)), receipt)


def _buckets(client: Client, wanted: Predicate, steps: Sequence[timedelta]) -> Iterator[Slice]:
    step, *finer = steps
    rows = select(
        client,
        "min(time), max(time), count(), intDiv(toUnixTimestamp64Milli(time), {step_ms:Int64}) AS n"
        " FROM audit.log",
        wanted,
        " GROUP BY n ORDER BY n DESC",
        {"step_ms": step // timedelta(milliseconds=1)},
    )
    buckets = [Slice(first, last, count) for first, last, count, _ in rows]
    return chain.from_iterable(
        _buckets(client, wanted_in(bucket, wanted), finer)
        if bucket.rows > _SLICE_ROWS and finer
        else (bucket,)
        for bucket in buckets
    )


def wanted_in(part: Slice, wanted: Predicate) -> Predicate:
    """Return the condition of being wanted and in `part`, also where `wanted` has a slice's."""
    names = part.predicate.parameters.keys()
    if not names & wanted.parameters.keys():
        return wanted & part.predicate
    return Predicate(wanted.sql, {**wanted.parameters, **part.predicate.parameters})


def _merged(buckets: Iterator[Slice]) -> Iterator[Slice]:
    """Join neighbours up to the size of a slice; they come newest first."""
    held: Slice | None = None
    for bucket in buckets:
        if held is not None and held.rows + bucket.rows <= _SLICE_ROWS:
            held = Slice(bucket.first, held.last, held.rows + bucket.rows)
            continue
        if held is not None:
            yield held
        held = bucket
    if held is not None:
        yield held
