"""Events of the store in the order in which Kafka received them, for a replay.

Read in spans of `received_at` that hold a bounded number of events, and in pages within them, so
that memory stays flat and no query sorts more than a span. A page goes on after the last event of
the one before (keyset), so what is stored meanwhile neither repeats nor hides an event.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from clickhouse_connect.driver.client import Client

from auditbus.console.query.events import select
from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Place", "StoredEvents", "StoredOriginal"]

_SPAN_ROWS = 50_000
_BUCKETS = 200
_MIN_WIDTH_MS = 1_000
_PAGE_ROWS = 2_000
_COLUMNS = "received_at, origin_partition, origin_offset, id, time, account, event FROM audit.log"
_ORDER = " ORDER BY received_at, origin_partition, origin_offset, id LIMIT {page_rows:UInt64}"


class Place(msgspec.Struct, frozen=True):
    """Where an event stands in that order. `received_ms` in milliseconds since 1970."""

    received_ms: int
    partition: int
    offset: int
    id: str


@dataclass(frozen=True, slots=True)
class StoredOriginal:
    """One event: `value` is the enriched event, byte for byte; `occurred_ms` its own time."""

    place: Place
    occurred_ms: int
    account: str
    value: bytes


class StoredEvents:
    """The events that `wanted` describes, received from `since` to before `until`.

    Raises what the client raises.
    """

    def __init__(self, client: Client, wanted: Predicate, since: datetime, until: datetime) -> None:
        """Read through `client`."""
        self._client = client
        self._wanted = wanted
        self._since_ms, self._until_ms = _ms(since), _ms(until)

    def count(self, *, occurred_before: datetime | None = None) -> int:
        """Count them all, or those that happened before a moment."""
        where = self._received(self._since_ms, self._until_ms)
        if occurred_before is not None:
            where &= Predicate(
                "time < {too_old:DateTime64(3, 'UTC')}",
                {"too_old": moment_parameter(occurred_before)},
            )
        return int(select(self._client, "count() FROM audit.log", where & self._wanted)[0][0])

    def read(self, after: Place | None = None) -> Iterator[StoredOriginal]:
        """Yield them in order, beginning after a place."""
        first_ms = self._since_ms if after is None else after.received_ms
        for start_ms, end_ms in self._spans(first_ms, self._until_ms):
            yield from self._pages(start_ms, end_ms, after)

    def _spans(self, start_ms: int, end_ms: int) -> Iterator[tuple[int, int]]:
        """Cut a period into such that hold few events, or cannot be cut further."""
        width_ms = max((end_ms - start_ms) // _BUCKETS + 1, _MIN_WIDTH_MS)
        rows = select(
            self._client,
            "intDiv(toUnixTimestamp64Milli(received_at) - {start_ms:Int64}, {width_ms:Int64})"
            " AS bucket, count() FROM audit.log",
            self._received(start_ms, end_ms) & self._wanted,
            " GROUP BY bucket ORDER BY bucket",
            {"start_ms": start_ms, "width_ms": width_ms},
        )
        begin_ms, held = None, 0
        for bucket, count in rows:
            bucket_ms = start_ms + bucket * width_ms
            bucket_end_ms = min(bucket_ms + width_ms, end_ms)
            if begin_ms is not None and held + count > _SPAN_ROWS:
                yield begin_ms, bucket_ms
                begin_ms, held = None, 0
            if count > _SPAN_ROWS and width_ms > _MIN_WIDTH_MS:
                yield from self._spans(bucket_ms, bucket_end_ms)
                continue
            begin_ms = bucket_ms if begin_ms is None else begin_ms
            held += count
        if begin_ms is not None:
            yield begin_ms, end_ms

    def _pages(self, start_ms: int, end_ms: int, after: Place | None) -> Iterator[StoredOriginal]:
        where = self._received(start_ms, end_ms)
        # The months they happened in, which the table is cut by: FINAL then reads no other.
        times = select(self._client, "min(time), max(time) FROM audit.events", where)[0]
        where &= Predicate(
            "time BETWEEN {first_time:DateTime64(3, 'UTC')} AND {last_time:DateTime64(3, 'UTC')}",
            {"first_time": moment_parameter(times[0]), "last_time": moment_parameter(times[1])},
        )
        while True:
            rows = select(
                self._client,
                _COLUMNS,
                where & self._wanted & _behind(after),
                _ORDER,
                {"page_rows": _PAGE_ROWS},
            )
            for received_at, partition, offset, id_, time, account, value in rows:
                after = Place(_ms(received_at), partition, offset, str(id_))
                yield StoredOriginal(after, _ms(time), account, value)
            if len(rows) < _PAGE_ROWS:
                return

    @staticmethod
    def _received(start_ms: int, end_ms: int) -> Predicate:
        return Predicate(
            "received_at >= {received_since:DateTime64(3, 'UTC')}"
            " AND received_at < {received_until:DateTime64(3, 'UTC')}",
            {"received_since": _parameter(start_ms), "received_until": _parameter(end_ms)},
        )


def _behind(place: Place | None) -> Predicate:
    if place is None:
        return Predicate()
    return Predicate(
        "(received_at, origin_partition, origin_offset, id) > ({after_received:"
        "DateTime64(3, 'UTC')}, {after_partition:UInt32}, {after_offset:UInt64}, {after_id:UUID})",
        {
            "after_received": _parameter(place.received_ms),
            "after_partition": place.partition,
            "after_offset": place.offset,
            "after_id": place.id,
        },
    )


def _ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _parameter(moment_ms: int) -> str:
    return moment_parameter(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment_ms))
