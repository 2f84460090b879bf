"""Events as CSV (RFC 4180, UTF-8), safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

import click

from auditbus.console.cli.columns import FILE_COLUMNS
from auditbus.console.query.events import EventRow

__all__ = ["MAX_LINES", "csv_stdout", "write_csv"]

# The most rows of an Excel sheet, the header among them.
MAX_LINES = 1_048_576
# What makes a spreadsheet take a cell for a formula (OWASP, "CSV Injection"), full width too.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def write_csv(rows: Iterable[EventRow], file: TextIO) -> int:
    """Write a header and `rows` to `file`, which was opened with newline=""; return how many.

    Holds one row at a time. A cell that a spreadsheet would take for a formula gets an apostrophe
    in front.
    """
    writer = csv.writer(file)
    writer.writerow(FILE_COLUMNS)
    columns = tuple(FILE_COLUMNS.values())
    written = 0
    for row in rows:
        writer.writerow([_cell(column(row)) for column in columns])
        written += 1
    return written


@contextmanager
def csv_stdout() -> Iterator[TextIO]:
    """Yield standard output as `write_csv` wants it; flushed at the end, not closed."""
    file = io.TextIOWrapper(click.get_binary_stream("stdout"), encoding="utf-8", newline="")
    try:
        yield file
        file.flush()
    finally:
        # Detached even where the flush failed (a closed pipe): closing would fail once more.
        with suppress(BrokenPipeError):
            file.detach()


def _cell(text: str) -> str:
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text
