"""Events as readers see them: each once, newest first, read page by page."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from auditbus.console.query.ordered import Key, rows_in_order
from auditbus.console.query.predicate import Predicate, moment_parameter
from auditbus.console.query.selection import Reader, select

__all__ = ["ORIGINAL_COLUMNS", "ROW_COLUMNS", "EventLog", "EventRow", "row_from", "select"]

_FIRST_PAGE_ROWS = 500
_MAX_PAGE_ROWS = 20_000
_PAGE_BYTES = 8 * 1024 * 1024
# Up to so many are looked for from the newest end; more are cheaper to sort out at once.
_FEW_ROWS = 1_000


@dataclass(frozen=True, slots=True)
class EventRow:
    """One row of `audit.log`; empty text where the event says nothing.

    `event` is the enriched event, byte for byte.
    """

    id: UUID
    time: datetime
    received_at: datetime
    action: str
    category: str
    operation: str
    description: str
    outcome: str
    account: str
    account_name: str
    actor_type: str
    actor_id: str
    actor_name: str
    actor_email: str
    targets: str
    ip: str
    user_agent: str
    device: str
    location: str
    country_code: str
    error_code: str
    error_message: str
    event: bytes

    @property
    def user(self) -> str:
        """Who did it, as people call them."""
        return self.actor_name or self.actor_email or self.actor_id or self.actor_type

    @property
    def error(self) -> str:
        """The error's message, else its code."""
        return self.error_message or self.error_code


# The expression of each field that is no column of its own name. Constants: no value gets here.
_EXPRESSIONS = {
    "ip": "ip_text",
    "outcome": "toString(outcome)",
}
ROW_COLUMNS = tuple(_EXPRESSIONS.get(item.name, item.name) for item in fields(EventRow))
ORIGINAL_COLUMNS = ("id", "time", "event")


class EventLog:
    """Reads `audit.log`. Every method reads in pages of bounded size, so memory stays flat.

    A page goes on after the last event of the one before (keyset), so nothing that is stored
    meanwhile is repeated or makes an older event slip.
    """

    def __init__(self, client: Reader) -> None:
        """Read through `client`, whose errors come out as they are."""
        self._client = client

    def newest(self, wanted: Predicate, limit: int | None = None) -> Iterator[EventRow]:
        """Yield what is wanted, newest first, at most `limit` (None: all)."""
        return (row_from(row) for row in self._pages(ROW_COLUMNS, wanted, limit))

    def originals(self, wanted: Predicate, limit: int | None = None) -> Iterator[bytes]:
        """Yield the enriched events byte for byte, in the same order."""
        return (row[2] for row in self._pages(ORIGINAL_COLUMNS, wanted, limit))

    def count(self, wanted: Predicate, limit: int) -> int:
        """Count what is wanted; stops at `limit`."""
        most = {"most": limit}
        rows = select(
            self._client,
            "count() FROM (SELECT 1 FROM audit.log",
            wanted,
            " LIMIT {most:UInt64})",
            most,
        )
        return int(rows[0][0])

    def _pages(
        self, columns: Sequence[str], wanted: Predicate, limit: int | None
    ) -> Iterator[Sequence[Any]]:
        left = sys.maxsize if limit is None else limit
        page_rows = _FIRST_PAGE_ROWS
        last: Sequence[Any] | None = None
        while left > 0:
            page_rows = min(page_rows, left)
            page = self._page(columns, wanted, last, page_rows)
            yield from page
            if len(page) < page_rows:
                return
            left -= len(page)
            last = page[-1]
            row_bytes = sum(map(_text_bytes, page)) // len(page) + 1
            page_rows = max(1, min(_PAGE_BYTES // row_bytes, _MAX_PAGE_ROWS))

    def _page(
        self, columns: Sequence[str], wanted: Predicate, last: Sequence[Any] | None, page_rows: int
    ) -> Sequence[Sequence[Any]]:
        """Return the `page_rows` newest rows after `last`, which begins with id and time."""
        if page_rows <= _FEW_ROWS:
            beyond = Key(last[1], last[0]) if last else None
            return rows_in_order(self._client, columns, wanted, page_rows, beyond=beyond)
        return select(
            self._client,
            f"{', '.join(columns)} FROM audit.log",
            wanted & (_after(last) if last else Predicate()),
            " ORDER BY time DESC, id DESC LIMIT {page_rows:UInt64}",
            {"page_rows": page_rows},
        )


def row_from(values: Sequence[Any]) -> EventRow:
    """Return the row whose values were selected by `ROW_COLUMNS`."""
    return EventRow(*values)


def _after(last: Sequence[Any]) -> Predicate:
    """Return the condition of coming after `last`, a row that begins with id and time."""
    id_, time = last[:2]
    values = {"before_time": moment_parameter(time), "before_id": str(id_)}
    return Predicate("(time, id) < ({before_time:DateTime64(3, 'UTC')}, {before_id:UUID})", values)


def _text_bytes(row: Sequence[Any]) -> int:
    return sum(len(value) for value in row if isinstance(value, str | bytes))
