"""One look at what was newly stored, for many live tails at once.

However many tails there are, a look asks ClickHouse once where new events lie, and, if there are
any, once for each `_CONDITIONS_PER_QUERY` different conditions which of them each tail may see and
wants. The store judges, by the very conditions of the other queries: nothing is decided twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from uuid import UUID

from auditbus.console.query.cursor import LOOK_BACK, Cursor
from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import Reader, select

__all__ = ["Feed", "FeedEvent", "NewEvent"]

_CONDITIONS_PER_QUERY = 25
_EVENTS_PER_QUERY = 500
# An event may be overtaken by so much; a partition that has been idle for longer does not make
# every look go back to its last event.
_OVERTAKEN_BY = timedelta(days=1)
_IDLE_AFTER = timedelta(days=7)
_ALL = 2**63 - 1
_NO_PARTITION = 2**32 - 1  # so that the arrays are never empty


@dataclass(frozen=True, slots=True)
class NewEvent:
    """Where an event that was newly stored lies."""

    id: UUID
    time: datetime
    account: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An enriched event, and the numbers of the conditions that hold for it."""

    place: NewEvent
    event: bytes
    holding: frozenset[int]


@dataclass(slots=True)
class Feed:
    """Follows everything that is stored. `start` once, then `look` again and again, in one thread.

    All raise what the client raises; what failed may be repeated, and misses nothing.
    """

    client: Reader
    cursor: Cursor = field(default_factory=Cursor, init=False)
    _received: dict[int, datetime] = field(default_factory=dict, init=False)

    def start(self) -> None:
        """Take the position: what is stored from now on is new."""
        heads = self._read_heads()
        self._received = {name: received for name, (_, received) in heads.items()}
        offsets = {name: offset for name, (offset, _) in heads.items()}
        stored = self._places(offsets, self._since)
        self.cursor = Cursor.at(offsets, ((place.partition, place.offset) for place in stored))
        self.cursor.since_s = self._since_s

    def look(self) -> list[NewEvent]:
        """Return what was stored since, in the order in which Kafka received it.

        The position moves on with `cursor.add`, which is the caller's.
        """
        since = self._since
        heads = self._read_heads()
        for partition, (offset, _) in heads.items():
            if offset < self.cursor.up_to.get(partition, 0) - LOOK_BACK:  # the topic is a new one
                self.cursor.up_to[partition] = -1
                self.cursor.missing[partition] = set()
        self._received |= {name: received for name, (_, received) in heads.items()}
        self.cursor.since_s = self._since_s
        places = self._places(self.cursor.up_to, since)
        return [place for place in places if not self.cursor.has(place.partition, place.offset)]

    def missed(self, cursor: Cursor, condition: Predicate, most: int) -> list[NewEvent]:
        """Return what is stored, may fit `condition`, and `cursor` has not come past.

        In the order of receipt; at most `most` are looked at, the oldest.
        """
        since = _received_since(datetime.fromtimestamp(cursor.since_s, UTC))
        places = self._places(cursor.up_to, since & condition, most)
        return [place for place in places if not cursor.has(place.partition, place.offset)]

    def judge(
        self, places: Sequence[NewEvent], conditions: Sequence[Predicate]
    ) -> Iterator[FeedEvent]:
        """Yield those of `places`, in their order, for which any of `conditions` holds.

        Of several copies of an event the first counts.
        """
        ordered = iter(places)
        while some := list(islice(ordered, _EVENTS_PER_QUERY)):
            holding: dict[UUID, set[int]] = {}
            for first in range(0, len(conditions), _CONDITIONS_PER_QUERY):
                part = conditions[first : first + _CONDITIONS_PER_QUERY]
                for id_, numbers in self._holding(some, part):
                    holding.setdefault(id_, set()).update(first + number for number in numbers)
            wanted = [place for place in some if holding.get(place.id)]
            events = self._events(wanted) if wanted else {}
            for place in wanted:
                if place.id in events:
                    yield FeedEvent(place, events[place.id], frozenset(holding[place.id]))

    @property
    def _since(self) -> Predicate:
        if not self._received:
            return Predicate()
        return _received_since(datetime.fromtimestamp(self._since_s, UTC))

    @property
    def _since_s(self) -> int:
        if not self._received:
            return 0
        newest, oldest = max(self._received.values()), min(self._received.values())
        return int((max(oldest, newest - _IDLE_AFTER) - _OVERTAKEN_BY).timestamp())

    def _read_heads(self) -> dict[int, tuple[int, datetime]]:
        # audit.events, not the view: without FINAL it is quick, and a copy changes nothing here.
        # By received_at, not the largest offset: offsets start again when a topic is made anew.
        rows = select(
            self.client,
            "origin_partition, argMax(origin_offset, (received_at, origin_offset)),"
            " max(received_at) FROM audit.events",
            self._since,
            " GROUP BY origin_partition",
        )
        return {partition: (offset, received) for partition, offset, received in rows}

    def _places(
        self, heads: Mapping[int, int], further: Predicate, most: int = _ALL
    ) -> list[NewEvent]:
        after = Predicate(
            "origin_offset > transform(origin_partition,"
            " {partitions:Array(UInt32)}, {floors:Array(Int64)}, -1)",
            {
                "partitions": [*heads, _NO_PARTITION],
                "floors": [*(head - LOOK_BACK for head in heads.values()), -1],
            },
        )
        rows = select(
            self.client,
            "id, time, account, origin_partition, origin_offset FROM audit.events",
            after & further,
            " ORDER BY received_at, origin_partition, origin_offset LIMIT {most:UInt64}",
            {"most": most},
        )
        return list({place.id: place for place in (NewEvent(*row) for row in rows)}.values())

    def _holding(
        self, places: Sequence[NewEvent], conditions: Sequence[Predicate]
    ) -> list[tuple[UUID, list[int]]]:
        flags: list[str] = []
        parameters: dict[str, object] = {}
        for number, condition in enumerate(conditions):
            sql, renamed = condition.sql or "true", {}
            for name, value in condition.parameters.items():
                sql = sql.replace(f"{{{name}:", f"{{c{number}_{name}:")
                renamed[f"c{number}_{name}"] = value
            flags.append(f"toUInt8({sql})")
            parameters |= renamed
        rows = select(
            self.client,
            f"id, arrayFilter((n, holds) -> holds, range({len(flags)}), [{', '.join(flags)}])"
            " FROM audit.log",
            _there(places),
            "",
            parameters,
        )
        return [(row[0], list(row[1])) for row in rows if row[1]]

    def _events(self, places: Sequence[NewEvent]) -> dict[UUID, bytes]:
        rows = select(self.client, "id, event FROM audit.log", _there(places))
        return {row[0]: bytes(row[1]) for row in rows}


def _received_since(moment: datetime) -> Predicate:
    return Predicate(
        "received_at >= {received_since:DateTime64(3, 'UTC')}",
        {"received_since": moment_parameter(moment)},
    )


def _there(places: Sequence[NewEvent]) -> Predicate:
    times = [place.time for place in places]
    return Predicate(
        "account IN {place_accounts:Array(String)} AND id IN {place_ids:Array(UUID)} AND time"
        " BETWEEN {place_first:DateTime64(3, 'UTC')} AND {place_last:DateTime64(3, 'UTC')}",
        {
            "place_accounts": sorted({place.account for place in places}),
            "place_ids": [str(place.id) for place in places],
            "place_first": moment_parameter(min(times)),
            "place_last": moment_parameter(max(times)),
        },
    )
