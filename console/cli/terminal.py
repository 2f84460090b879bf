"""Where commands print: results on standard output, progress and notes on standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from auditbus.console.cli.safe_text import printable, terminal_json

__all__ = ["note", "output_console", "print_listing", "progress", "write_json_lines"]

# Wide enough for every column: a file or a pipe has no width.
_PIPE_WIDTH = 320


class _Output(Console):
    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the group; rich would end the process with code 1."""
        raise BrokenPipeError


def output_console() -> Console:
    """Return the console of standard output; nothing in a text is markup."""
    piped = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    return _Output(markup=False, highlight=False, emoji=False, width=_PIPE_WIDTH if piped else None)


def note(text: str) -> None:
    """Say something to the person, beside the results."""
    click.echo(text, err=True)


def progress() -> Progress:
    """Return a progress display on standard error, silent where that is no terminal."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_listing(
    columns: Mapping[str, str], rows: Iterable[Mapping[str, object]], output: str
) -> None:
    """Print `rows` as a table or as JSON lines. `columns` maps a row's key to its heading."""
    if output == "json":
        write_json_lines(orjson.dumps(row) for row in rows)
        return
    table = Table(box=None, pad_edge=False, header_style="bold underline")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row.get(key))) for key in columns))
    if table.row_count:
        output_console().print(table)
    else:
        note("nothing to list")


def write_json_lines(lines: Iterable[bytes]) -> int:
    """Write one JSON text a line, as it is; on a terminal with steering characters escaped."""
    binary = click.get_binary_stream("stdout")
    escape = sys.stdout.isatty()
    written = 0
    for line in lines:
        binary.write((terminal_json(line) if escape else line) + b"\n")
        written += 1
    binary.flush()
    return written


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return ", ".join(map(_cell, value))
    return printable(str(value))
