"""Pages of the log, newest first, forward and back from any event: they never slip or repeat.

A page is asked for by a place in the order (time, id), not by a number: what is stored meanwhile
moves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeAlias, TypeVar
from uuid import UUID

from auditbus.console.query.events import ORIGINAL_COLUMNS, ROW_COLUMNS, EventRow, row_from
from auditbus.console.query.ordered import Key, rows_in_order
from auditbus.console.query.predicate import Predicate
from auditbus.console.query.selection import Reader

__all__ = ["Page", "PageOf", "Place", "read_originals", "read_page"]

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log's order. Its text form is the cursor of the API; it grants nothing."""

    time: datetime
    id: UUID

    def __str__(self) -> str:
        moment = self.time.astimezone(UTC).isoformat(timespec="milliseconds")
        return f"{moment.removesuffix('+00:00')}Z_{self.id}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """Raise ValueError where `text` is not what `str` makes of a place."""
        moment, _, id_ = text.partition("_")
        try:
            place = cls(datetime.fromisoformat(moment), UUID(id_))
        except ValueError:
            raise ValueError("not a cursor of this log") from None
        if place.time.tzinfo is None or str(place) != text:
            raise ValueError("not a cursor of this log")
        return place


@dataclass(frozen=True, slots=True)
class PageOf(Generic[_Row]):
    """Rows newest first, and where to go on; None where nothing was seen to lie there."""

    rows: list[_Row]
    newer: Place | None
    older: Place | None


Page: TypeAlias = PageOf[EventRow]


def read_page(
    client: Reader,
    wanted: Predicate,
    limit: int,
    *,
    older_than: Place | None = None,
    newer_than: Place | None = None,
) -> Page:
    """Return the `limit` rows next to a place: the newest ones below it, or the oldest above it.

    Without a place, the newest of all. Give one of the two at most. Raises what the client raises.
    """
    reading = _Reading(client, wanted, limit, older_than, newer_than)
    return reading.page(ROW_COLUMNS, row_from)


def read_originals(
    client: Reader,
    wanted: Predicate,
    limit: int,
    *,
    older_than: Place | None = None,
    newer_than: Place | None = None,
) -> PageOf[bytes]:
    """Return the same page as enriched events, byte for byte: three columns instead of all."""
    reading = _Reading(client, wanted, limit, older_than, newer_than)
    return reading.page(ORIGINAL_COLUMNS, lambda row: bytes(row[2]))


@dataclass(frozen=True, slots=True)
class _Reading:
    client: Reader
    wanted: Predicate
    limit: int
    older_than: Place | None
    newer_than: Place | None

    def page(self, columns: Sequence[str], row_of: Callable[[Sequence[Any]], _Row]) -> PageOf[_Row]:
        """Read `columns`, which begin with the id; one more row than asked tells what follows."""
        place = self.older_than or self.newer_than
        found = rows_in_order(
            self.client,
            columns,
            self.wanted,
            self.limit + 1,
            beyond=Key(place.time, place.id) if place else None,
            ascending=self.newer_than is not None,
        )
        more = len(found) > self.limit
        found = found[: self.limit]
        if self.newer_than:
            found.reverse()
        if not found:
            return PageOf([], None, None)
        first, last = (Place(row[1], row[0]) for row in (found[0], found[-1]))
        has_newer = more if self.newer_than else self.older_than is not None
        has_older = self.newer_than is not None or more
        rows = [row_of(row) for row in found]
        return PageOf(rows, first if has_newer else None, last if has_older else None)
