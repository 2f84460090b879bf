"""What one reader has not been shown yet; of what is looked at again, ids are remembered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from clickhouse_connect.driver.client import Client

from auditbus.console.query.arrivals import (
    OVERTAKEN_BY,
    Head,
    NewEvent,
    read_heads,
    read_new,
    received_since,
)
from auditbus.console.query.cursor import LOOK_BACK
from auditbus.console.query.errors import TailBroken
from auditbus.console.query.events import ROW_COLUMNS, EventLog, EventRow, row_from
from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import select

__all__ = ["Tail"]

_ROWS_PER_QUERY = 1_000


@dataclass(slots=True)
class Tail:
    """Follows the events that `wanted` describes. `start` once, then `poll` again and again.

    Both raise what the client raises; a poll that failed may be repeated and misses nothing.
    """

    client: Client
    wanted: Predicate
    _heads: Mapping[int, Head] = field(default_factory=dict, init=False)
    _seen: set[UUID] = field(default_factory=set, init=False)

    def start(self, lines: int) -> list[EventRow]:
        """Take the position, and return the newest `lines` events that exist, oldest first."""
        self._heads = read_heads(self.client, self._since)
        self._seen = {place.id for place in self._new(self._heads)}
        newest = list(EventLog(self.client).newest(self.wanted, lines))
        self._seen.update(row.id for row in newest)
        return newest[::-1]

    def poll(self) -> Iterator[EventRow]:
        """Yield what was stored since, in the order in which Kafka received it.

        The position moves on once everything has been yielded.
        """
        heads = read_heads(self.client, self._since)
        for partition, before in self._heads.items():
            if heads.get(partition, before).offset < before.offset - LOOK_BACK:
                raise TailBroken(partition)
        places = self._new(heads)
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
        oldest = min(head.received_at for head in self._heads.values())
        return received_since(oldest - OVERTAKEN_BY)

    def _new(self, newest: Mapping[int, Head]) -> list[NewEvent]:
        """Return what the last look may not have seen."""
        return read_new(
            self.client, _offsets(self._heads), _offsets(newest), self._since & self.wanted
        )

    def _rows(self, places: Sequence[NewEvent]) -> list[EventRow]:
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


def _offsets(heads: Mapping[int, Head]) -> dict[int, int]:
    return {partition: head.offset for partition, head in heads.items()}
