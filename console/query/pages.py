"""Pages of the log, newest first, forward and back from any event: they never slip or repeat.

A page is asked for by a place in the order (time, id), not by a number: what is stored meanwhile
moves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from clickhouse_connect.driver.client import Client

from auditbus.console.query.events import ROW_COLUMNS, EventRow, row_from, select
from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Page", "Place", "read_page"]


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
class Page:
    """Rows newest first, and where to go on; None where nothing was seen to lie there."""

    rows: list[EventRow]
    newer: Place | None
    older: Place | None


def read_page(
    client: Client,
    wanted: Predicate,
    limit: int,
    *,
    older_than: Place | None = None,
    newer_than: Place | None = None,
) -> Page:
    """Return the `limit` rows next to a place: the newest ones below it, or the oldest above it.

    Without a place, the newest of all. Give one of the two at most. Raises what the client raises.
    """
    place = older_than or newer_than
    order, compare = ("ASC", ">") if newer_than else ("DESC", "<")
    beyond = Predicate()
    if place is not None:
        beyond = Predicate(
            f"(time, id) {compare} ({{place_time:DateTime64(3, 'UTC')}}, {{place_id:UUID}})",
            {"place_time": moment_parameter(place.time), "place_id": str(place.id)},
        )
    found = select(
        client,
        f"{', '.join(ROW_COLUMNS)} FROM audit.log",
        wanted & beyond,
        f" ORDER BY time {order}, id {order} LIMIT {{rows:UInt64}}",
        {"rows": limit + 1},
    )
    rows = [row_from(row) for row in found]
    more = len(rows) > limit
    rows = rows[:limit]
    if newer_than:
        rows.reverse()
    if not rows:
        return Page([], None, None)
    first, last = (Place(row.time, row.id) for row in (rows[0], rows[-1]))
    has_newer = more if newer_than else older_than is not None
    has_older = newer_than is not None or more
    return Page(rows, first if has_newer else None, last if has_older else None)
