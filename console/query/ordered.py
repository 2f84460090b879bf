"""Some rows in the order of (time, id), from one end: in steps that touch little.

The table is sorted by account, so the newest rows of all accounts lie everywhere in it. Two things
keep that quick:

* Windows. The last day is looked through first, then ten days, a hundred, everything (from the ten
  on, where only some accounts or users are asked for). Each window leaves out the parts of other
  months, and none is read twice.
* Keys first. The windows are searched for the keys alone, in columns that are small, without FINAL.
  Only then are the wanted columns of just those rows read, with FINAL and by the same condition, so
  that of several copies the first one counts: where that one does not fit, the search goes on.

The page that is asked for most, everything of a few accounts, is found in one query: their events
lie side by side, and a month of them is a page as a rule. Where it is less, the search goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import Reader, select

__all__ = ["Key", "rows_in_order"]

_WINDOWS = tuple(timedelta(days=days) for days in (1, 10, 100))
# Parameters of conditions that few events meet: a day would hold too few of them.
_OF_FEW = frozenset({"accounts", "users", "ids", "seen_accounts", "seen_actor"})
# Parameters of conditions that the sorting key decides.
_OF_ACCOUNTS = frozenset({"accounts", "seen_accounts"})
_OF_KEY = _OF_ACCOUNTS | {"bound_accounts", "since", "until"}
_MONTH = timedelta(days=30)
_WITHIN_PARTITIONS = " SETTINGS do_not_merge_across_partitions_select_final = 1"


@dataclass(frozen=True, slots=True)
class Key:
    """Where a row is in the order; `account` too says where it is in the table."""

    time: datetime
    id: UUID
    account: str = ""


@dataclass(frozen=True, slots=True)
class _Search:
    client: Reader
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

    @property
    def is_all_of_accounts(self) -> bool:
        asked = self.wanted.parameters.keys()
        return bool(asked & _OF_ACCOUNTS) and asked <= _OF_KEY

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

    def rows_at_once(
        self, window: Predicate, after: Key | None, limit: int
    ) -> Sequence[Sequence[Any]]:
        """Return the rows of the first `limit` keys: fewer, where copies were among them."""
        inner = window & (self.beyond(after) if after else Predicate()) & self.wanted
        return select(
            self.client,
            f"{', '.join(self.columns)} FROM audit.events FINAL PREWHERE (account, time, id) IN ("  # noqa: S608
            f"SELECT account, time, id FROM audit.events WHERE {inner.sql}{self.order}"
            " LIMIT {most_keys:UInt64})",
            self.wanted,
            f"{self.order}{_WITHIN_PARTITIONS}",
            {**inner.parameters, "most_keys": limit},
        )

    def rows(self, keys: Sequence[Key]) -> Sequence[Sequence[Any]]:
        times = [key.time for key in keys]
        # PREWHERE by the sorting key, or the conditions on text would be read for whole accounts.
        what = (
            f"{', '.join(self.columns)} FROM audit.events FINAL PREWHERE"
            " account IN {key_accounts:Array(String)} AND id IN {key_ids:Array(UUID)} AND time"
            " BETWEEN {first_time:DateTime64(3, 'UTC')} AND {last_time:DateTime64(3, 'UTC')}"
        )
        return select(
            self.client,
            what,
            self.wanted,
            f"{self.order}{_WITHIN_PARTITIONS}",
            {
                "key_accounts": sorted({key.account for key in keys}),
                "key_ids": [str(key.id) for key in keys],
                "first_time": moment_parameter(min(times)),
                "last_time": moment_parameter(max(times)),
            },
        )


def rows_in_order(
    client: Reader,
    columns: Sequence[str],
    wanted: Predicate,
    limit: int,
    *,
    beyond: Key | None = None,
    ascending: bool = False,
) -> list[Sequence[Any]]:
    """Return the first `limit` rows of `wanted`, newest first, or oldest first if `ascending`.

    Only those that come after `beyond` in that order. `columns` begin with id and time. Raises what
    the client raises.
    """
    search = _Search(client, columns, wanted, ascending)
    found: list[Sequence[Any]] = []
    if search.is_all_of_accounts:
        month, *_ = _windows(search, beyond, [_MONTH])
        found += search.rows_at_once(month, beyond, limit)
        beyond = Key(found[-1][1], found[-1][0]) if found else beyond
        windows = _windows(search, beyond, [])
    else:
        is_of_few = _OF_FEW & wanted.parameters.keys()
        windows = _windows(search, beyond, _WINDOWS[1:] if is_of_few else _WINDOWS)
    keys = _keys(search, windows, beyond, limit)
    while len(found) < limit and (some := list(islice(keys, limit - len(found)))):
        found += search.rows(some)
    return found


def _keys(
    search: _Search, windows: Iterable[Predicate], beyond: Key | None, limit: int
) -> Iterator[Key]:
    """Yield keys of rows that may be wanted, in order, each once; reads on only when asked to."""
    for window in windows:
        after = beyond
        while True:
            keys = search.keys(window, after, limit)
            yield from dict.fromkeys(keys)  # copies lie side by side
            if len(keys) < limit:
                break
            after = keys[-1]


def _windows(
    search: _Search, beyond: Key | None, spans: Sequence[timedelta]
) -> Iterator[Predicate]:
    """Yield windows that follow each other and together hold all that comes after `beyond`."""
    anchor = beyond.time if beyond else datetime.now(UTC)
    since = str(search.wanted.parameters.get("since", ""))
    edge: datetime | None = None
    for span in spans:
        try:
            next_edge = anchor + span if search.ascending else anchor - span
        except OverflowError:
            break
        if not search.ascending and moment_parameter(next_edge) <= since:
            break  # nothing older is wanted
        yield _between(edge, next_edge, ascending=search.ascending)
        edge = next_edge
    yield _between(edge, None, ascending=search.ascending)


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
