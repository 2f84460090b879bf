"""Some rows in the order of (time, id), from one end: in steps that touch little.

The table is sorted by account, so the newest rows of all accounts lie everywhere in it. Two things
keep that quick:

* Windows. The last day is looked through first, then ten days, a hundred, everything. Each window
  leaves out the parts of other months, and none is read twice.
* Keys first. A window is searched for the keys alone, in columns that are small, without FINAL.
  Only then are the wanted columns of just those rows read, with FINAL and by the same condition, so
  that of several copies the first one counts: where that one does not fit, the search goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import select

__all__ = ["Key", "rows_in_order"]

_WINDOWS = tuple(timedelta(days=days) for days in (1, 10, 100))
_TICK = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)  # what max(time) of nothing is


@dataclass(frozen=True, slots=True)
class Key:
    """Where a row is in the order; `account` too says where it is in the table."""

    time: datetime
    id: UUID
    account: str = ""


@dataclass(frozen=True, slots=True)
class _Search:
    client: Client
    columns: Sequence[str]
    wanted: Predicate
    ascending: bool

    @property
    def order(self) -> str:
        direction = "ASC" if self.ascending else "DESC"
        return f" ORDER BY time {direction}, id {direction}"

    def beyond(self, key: Key) -> Predicate:
        compare = ">" if self.ascending else "<"
        return Predicate(
            f"(time, id) {compare} ({{key_time:DateTime64(3, 'UTC')}}, {{key_id:UUID}})",
            {"key_time": moment_parameter(key.time), "key_id": str(key.id)},
        )

    def keys(self, window: Predicate, after: Key | None, limit: int) -> list[Key]:
        beyond = self.beyond(after) if after else Predicate()
        found = select(
            self.client,
            "time, id, account FROM audit.events",
            window & beyond & self.wanted,
            f"{self.order} LIMIT {{most_keys:UInt64}}",
            {"most_keys": limit},
        )
        return [Key(*row) for row in found]

    def rows(self, keys: Sequence[Key]) -> Sequence[Sequence[Any]]:
        times = [key.time for key in keys]
        there = Predicate(
            "account IN {key_accounts:Array(String)} AND id IN {key_ids:Array(UUID)} AND time"
            " BETWEEN {first_time:DateTime64(3, 'UTC')} AND {last_time:DateTime64(3, 'UTC')}",
            {
                "key_accounts": sorted({key.account for key in keys}),
                "key_ids": [str(key.id) for key in keys],
                "first_time": moment_parameter(min(times)),
                "last_time": moment_parameter(max(times)),
            },
        )
        what = f"{', '.join(self.columns)} FROM audit.log"
        return select(self.client, what, there & self.wanted, self.order)


def rows_in_order(
    client: Client,
    columns: Sequence[str],
    wanted: Predicate,
    limit: int,
    *,
    beyond: Key | None = None,
    ascending: bool = False,
) -> list[Sequence[Any]]:
    """Return the first `limit` rows of `wanted`, newest first, or oldest first if `ascending`.

    Only those that come after `beyond` in that order. Raises what the client raises.
    """
    search = _Search(client, columns, wanted, ascending)
    found: list[Sequence[Any]] = []
    for window in _windows(client, beyond, ascending=ascending):
        after = beyond
        while len(found) < limit:
            want = limit - len(found)
            keys = search.keys(window, after, want)
            if keys:
                found += search.rows(keys)
                after = keys[-1]
            if len(keys) < want:
                break
        if len(found) >= limit:
            break
    return found


def _windows(client: Client, beyond: Key | None, *, ascending: bool) -> Iterator[Predicate]:
    """Yield windows that follow each other and together hold all that comes after `beyond`."""
    start = beyond.time + _TICK if beyond and not ascending else beyond.time if beyond else None
    anchor = start or _newest(client)
    edge: datetime | None = None
    for span in _WINDOWS:
        try:
            next_edge = anchor + span if ascending else anchor - span
        except OverflowError:
            break
        yield _between(edge, next_edge, ascending=ascending)
        edge = next_edge
    yield _between(edge, None, ascending=ascending)


def _newest(client: Client) -> datetime:
    """Return the newest event's time, but none to come: a wrong clock must not move the windows."""
    newest: datetime = select(client, "max(time) FROM audit.events", Predicate())[0][0]
    now = datetime.now(UTC)
    return now if newest == _EPOCH else min(newest, now)


def _between(near: datetime | None, far: datetime | None, *, ascending: bool) -> Predicate:
    below, not_below = ("near", "far") if not ascending else ("far", "near")
    upper, lower = (near, far) if not ascending else (far, near)
    parts, parameters = [], {}
    if upper is not None:
        parts.append(f"time < {{{below}_edge:DateTime64(3, 'UTC')}}")
        parameters[f"{below}_edge"] = moment_parameter(upper)
    if lower is not None:
        parts.append(f"time >= {{{not_below}_edge:DateTime64(3, 'UTC')}}")
        parameters[f"{not_below}_edge"] = moment_parameter(lower)
    return Predicate(" AND ".join(parts), parameters)
