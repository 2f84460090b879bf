"""The event table of a terminal: the columns of the audit log screen, as many as fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import msgspec
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from auditbus.console.cli.columns import SCREEN_COLUMNS
from auditbus.console.cli.safe_text import printable
from auditbus.console.query.events import EventRow

__all__ = ["EventTable"]

_GAP = "  "
# Narrowest and widest useful width of each column.
_WIDTHS = {
    "Time": (19, 19),
    "Action": (14, 34),
    "Description": (18, 60),
    "Account": (8, 20),
    "User": (8, 28),
    "IP": (9, 39),
    "Device": (10, 30),
    "Location": (10, 30),
    "Error": (8, 40),
}
# Who leaves first where not all fit.
_DISPENSABLE = ("Device", "Location", "IP", "Account", "User", "Description")
_STYLES = {"Time": "dim", "Action": "bold", "Error": "red"}
_MEASURED_ROWS = 200
_DB_IP = "DBIP"
_ATTRIBUTION = "IP Geolocation by DB-IP (https://db-ip.com)"


@dataclass(slots=True)
class EventTable:
    """Prints rows as they come: the first ones decide the widths, then memory stays flat."""

    console: Console
    _widths: dict[str, int] = field(default_factory=dict, init=False)
    _by_db_ip: bool = field(default=False, init=False)

    def print(self, rows: Iterable[EventRow]) -> int:
        """Print `rows`, below a header the first time; return how many."""
        rows = iter(rows)
        first = list(islice(rows, _MEASURED_ROWS))
        if not self._widths:
            self._begin(first)
        printed = 0
        for batch in (first, rows):
            for row in batch:
                self._print_row(row)
                printed += 1
        return printed

    def finish(self) -> None:
        """Print whose database told the locations, where its licence asks for that."""
        if self._by_db_ip and "Location" in self._widths:
            self.console.print(Text(_ATTRIBUTION, style="dim"))

    def _begin(self, first: Sequence[EventRow]) -> None:
        wanted = {
            name: max([least, cell_len(name), *(cell_len(printable(column(row))) for row in first)])
            for (name, column), (least, _) in zip(
                SCREEN_COLUMNS.items(), _WIDTHS.values(), strict=True
            )
        }
        self._widths = fit(wanted, self.console.width)
        self._print_line([(name, name, "bold underline") for name in self._widths])
        if hidden := [name for name in SCREEN_COLUMNS if name not in self._widths]:
            note = f"(too narrow for {', '.join(hidden)}: widen the terminal, or --format json)"
            self.console.print(Text(note, style="dim"))

    def _print_row(self, row: EventRow) -> None:
        self._by_db_ip = self._by_db_ip or (row.location != "" and _is_by_db_ip(row.event))
        cells = (
            (name, printable(SCREEN_COLUMNS[name](row)), _STYLES.get(name, ""))
            for name in self._widths
        )
        self._print_line(list(cells))

    def _print_line(self, cells: Sequence[tuple[str, str, str]]) -> None:
        line = Text(no_wrap=True, overflow="ignore")
        for name, text, style in cells:
            line.append(_sized(text, self._widths[name]), style=style)
            line.append(_GAP)
        line.rstrip()
        self.console.print(line, soft_wrap=True)


class _Location(msgspec.Struct):
    database: str | None = None


class _Located(msgspec.Struct):
    location: _Location


def _is_by_db_ip(event: bytes) -> bool:
    return (msgspec.json.decode(event, type=_Located).location.database or "").startswith(_DB_IP)


def fit(wanted: dict[str, int], width: int) -> dict[str, int]:
    """Return the columns that fit into `width` cells, and how wide each is.

    `wanted` is the natural width of each. Where that is too much, columns shrink towards their
    narrowest useful widths; where even those are too wide, columns leave.
    """
    widths = {name: min(natural, _WIDTHS[name][1]) for name, natural in wanted.items()}
    for name in (None, *_DISPENSABLE):
        widths.pop(name or "", None)
        least = {column: min(_WIDTHS[column][0], widths[column]) for column in widths}
        room = width - len(_GAP) * (len(widths) - 1) - sum(least.values())
        if room >= 0:
            break
    # What is left goes to the smallest wishes first: a few cells more make most columns whole.
    by_wish = sorted(widths, key=lambda column: widths[column] - least[column])
    for place, column in enumerate(by_wish):
        extra = min(widths[column] - least[column], max(room, 0) // (len(by_wish) - place))
        room -= extra
        least[column] += extra
    return {column: least[column] for column in widths}


def _sized(text: str, width: int) -> str:
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)
