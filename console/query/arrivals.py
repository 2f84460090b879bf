"""Where newly stored events lie: by offsets in the raw topic, for whoever follows the log.

Offsets, not a time, say what was seen: an event that is stored late (a sink was down, a producer's
clock is behind) is still new. Events of one raw partition may overtake each other on their way into
the store, so of each the last `LOOK_BACK` offsets are looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from auditbus.console.query.cursor import LOOK_BACK
from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import Reader, select

__all__ = ["OVERTAKEN_BY", "Head", "NewEvent", "read_heads", "read_new", "received_since"]

OVERTAKEN_BY = timedelta(days=1)
"""An event may be overtaken by so much: what was received earlier need not be looked at again."""

_ALL = 2**63 - 1
_NO_PARTITION = 2**32 - 1  # so that the arrays are never empty


@dataclass(frozen=True, slots=True)
class Head:
    """The newest stored event of one raw partition."""

    offset: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Where one stored event lay in the raw topic."""

    id: UUID
    time: datetime
    account: str
    partition: int
    offset: int


def read_heads(client: Reader, further: Predicate) -> dict[int, Head]:
    """Return the head of each partition that `further` holds for. Raises what the client raises."""
    # audit.events, not the view: without FINAL it is quick, and a copy changes nothing here.
    # By received_at, not the largest offset: offsets start again when a topic is made anew.
    rows = select(
        client,
        "origin_partition, argMax(origin_offset, (received_at, origin_offset)),"
        " max(received_at) FROM audit.events",
        further,
        " GROUP BY origin_partition",
    )
    return {partition: Head(offset, received_at) for partition, offset, received_at in rows}


def read_new(
    client: Reader,
    seen: Mapping[int, int],
    newest: Mapping[int, int],
    further: Predicate,
    most: int = _ALL,
) -> list[NewEvent]:
    """Return what lies after the offsets `seen`, less what may be overtaken, and up to `newest`.

    In the order of receipt; the oldest `most`. Without the upper end, all that is left of a topic
    that was made anew would be new. Raises what the client raises.
    """
    after = Predicate(
        "origin_offset > transform(origin_partition,"
        " {partitions:Array(UInt32)}, {floors:Array(Int64)}, -1)"
        " AND origin_offset <= transform(origin_partition,"
        " {partitions:Array(UInt32)}, {ceilings:Array(Int64)}, -1)",
        {
            "partitions": [*newest, _NO_PARTITION],
            "floors": [*(seen.get(name, -1) - LOOK_BACK for name in newest), -1],
            "ceilings": [*newest.values(), -1],
        },
    )
    rows = select(
        client,
        "id, time, account, origin_partition, origin_offset FROM audit.events",
        after & further,
        " ORDER BY received_at, origin_partition, origin_offset LIMIT {most:UInt64}",
        {"most": most},
    )
    return list({event.id: event for event in (NewEvent(*row) for row in rows)}.values())


def received_since(moment: datetime) -> Predicate:
    """Return the condition of having been received then or later."""
    return Predicate(
        "received_at >= {received_since:DateTime64(3, 'UTC')}",
        {"received_since": moment_parameter(moment)},
    )
