"""What has been stored since the last look, by a vector of offsets in the raw topic.

Offsets, not a time, say what was seen: an event that is stored late (a sink was down, a producer's
clock is behind) is still shown. Events of one raw partition may overtake each other on their way
into the store, so the last `_LOOK_BACK` offsets before each partition's newest event are looked at
again at every poll, and what was shown of them is remembered by id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from clickhouse_connect.driver.client import Client

from auditbus.console.query.errors import TailBroken
from auditbus.console.query.events import ROW_COLUMNS, EventLog, EventRow, row_from
from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import select

__all__ = ["Tail"]

_LOOK_BACK = 1_000
_ROWS_PER_QUERY = 1_000
# An event may be overtaken by at most this much: older rows need not be looked at in each poll.
_OVERTAKEN_BY = timedelta(days=1)
_NO_PARTITION = 2**32 - 1  # so that the arrays are never empty


@dataclass(frozen=True, slots=True)
class _Head:
    """The newest stored event of one raw partition."""

    offset: int
    received_at: datetime


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one stored event lay in the raw topic."""

    id: UUID
    time: datetime
    partition: int
    offset: int


@dataclass(slots=True)
class Tail:
    """Follows the events that `wanted` describes. `start` once, then `poll` again and again.

    Both raise what the client raises; a poll that failed may be repeated and misses nothing.
    """

    client: Client
    wanted: Predicate
    _heads: Mapping[int, _Head] = field(default_factory=dict, init=False)
    _seen: set[UUID] = field(default_factory=set, init=False)

    def start(self, lines: int) -> list[EventRow]:
        """Take the position, and return the newest `lines` events that exist, oldest first."""
        self._heads = self._read_heads()
        self._seen = {place.id for place in self._places(self._heads)}
        newest = list(EventLog(self.client).newest(self.wanted, lines))
        self._seen.update(row.id for row in newest)
        return newest[::-1]

    def poll(self) -> Iterator[EventRow]:
        """Yield what was stored since, in the order in which Kafka received it.

        The position moves on once everything has been yielded.
        """
        heads = self._read_heads()
        for partition, before in self._heads.items():
            if heads.get(partition, before).offset < before.offset - _LOOK_BACK:
                raise TailBroken(partition)
        places = self._places(self._heads)
        new = [place for place in places if place.id not in self._seen]
        for start in range(0, len(new), _ROWS_PER_QUERY):
            for row in self._rows(new[start : start + _ROWS_PER_QUERY]):
                self._seen.add(row.id)
                yield row
        self._heads = {**self._heads, **heads}
        self._seen = {place.id for place in places}

    @property
    def _since(self) -> Predicate:
        if not self._heads:
            return Predicate()
        oldest = min(head.received_at for head in self._heads.values()) - _OVERTAKEN_BY
        return Predicate(
            "received_at >= {received_since:DateTime64(3, 'UTC')}",
            {"received_since": moment_parameter(oldest)},
        )

    def _read_heads(self) -> dict[int, _Head]:
        # audit.events, not the view: without FINAL it is quick, and a copy changes nothing here.
        # By received_at, not the largest offset: offsets start again when a topic is made anew.
        rows = select(
            self.client,
            "origin_partition, argMax(origin_offset, (received_at, origin_offset)),"
            " max(received_at) FROM audit.events",
            self._since,
            " GROUP BY origin_partition",
        )
        return {partition: _Head(offset, received_at) for partition, offset, received_at in rows}

    def _places(self, heads: Mapping[int, _Head]) -> list[_Place]:
        after = Predicate(
            "origin_offset > transform(origin_partition,"
            " {partitions:Array(UInt32)}, {floors:Array(Int64)}, -1)",
            {
                "partitions": [*heads, _NO_PARTITION],
                "floors": [*(head.offset - _LOOK_BACK for head in heads.values()), -1],
            },
        )
        rows = select(
            self.client,
            "id, time, origin_partition, origin_offset FROM audit.events",
            after & self._since & self.wanted,
            " ORDER BY received_at, origin_partition, origin_offset",
        )
        return list({place.id: place for place in (_Place(*row) for row in rows)}.values())

    def _rows(self, places: Sequence[_Place]) -> list[EventRow]:
        """Read the events at `places`, in that order, but for copies of older events."""
        offsets: dict[int, list[int]] = {}
        for place in places:
            offsets.setdefault(place.partition, []).append(place.offset)
        times = [place.time for place in places]
        there = Predicate(
            "time BETWEEN {first_time:DateTime64(3, 'UTC')} AND {last_time:DateTime64(3, 'UTC')}"
            " AND origin_offset BETWEEN"
            " transform(origin_partition, {partitions:Array(UInt32)}, {firsts:Array(Int64)}, 1)"
            " AND transform(origin_partition, {partitions:Array(UInt32)}, {lasts:Array(Int64)}, 0)",
            {
                "first_time": moment_parameter(min(times)),
                "last_time": moment_parameter(max(times)),
                "partitions": [*offsets],
                "firsts": [min(found) for found in offsets.values()],
                "lasts": [max(found) for found in offsets.values()],
            },
        )
        rows = select(self.client, f"{', '.join(ROW_COLUMNS)} FROM audit.log", there & self.wanted)
        by_id = {row.id: row for row in map(row_from, rows)}
        return [by_id[place.id] for place in places if place.id in by_id]
