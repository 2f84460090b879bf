"""`auditbus export`: events into a CSV file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import click

from auditbus.console.cli.csv_file import MAX_LINES, csv_stdout, write_csv
from auditbus.console.cli.options import event_filters, pipeline_settings
from auditbus.console.cli.terminal import note, progress
from auditbus.console.query.connection import connected
from auditbus.console.query.events import EventLog, EventRow
from auditbus.console.query.predicate import Predicate
from auditbus.runtime.settings import Settings

__all__ = ["export"]

_MAX_EVENTS = MAX_LINES - 1
_STDOUT = "-"


@click.command(
    epilog="""\b
Examples:
  auditbus export --out july.csv --since 2026-07-01 --until 2026-07-31
  auditbus export --out - --account acme --outcome failure | gzip > failures.csv.gz"""
)
@click.option(
    "--out", required=True, metavar="FILE", help="File to write, whole or not at all; - for stdout."
)
@event_filters
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=_MAX_EVENTS),
    default=_MAX_EVENTS,
    show_default=True,
    metavar="N",
    help="Most events; with the header, what a spreadsheet holds.",
)
@pipeline_settings
def export(settings: Settings, wanted: Predicate, out: str, limit: int) -> None:
    """Write events to a CSV file for a spreadsheet, newest first.

    Cells that a spreadsheet would take for a formula are made text.
    """
    with connected(settings.clickhouse) as client, _opened(out) as file, progress() as shown:
        log = EventLog(client)
        found = log.count(wanted, limit + 1)
        task = shown.add_task("exporting", total=min(found, limit))
        rows = log.newest(wanted, limit)
        written = write_csv(_counted(rows, lambda: shown.advance(task)), file)
    note(f"{written} events exported" + ("" if out == _STDOUT else f" to {out}"))
    if found > limit:
        note(f"truncated: only the newest {limit:,}; narrow it with --since, --until or a filter")


def _counted(rows: Iterable[EventRow], count: Callable[[], None]) -> Iterator[EventRow]:
    for row in rows:
        yield row
        count()


@contextmanager
def _opened(out: str) -> Iterator[TextIO]:
    """Yield the file to write; it takes its name only once it is complete."""
    if out == _STDOUT:
        with csv_stdout() as stdout:
            yield stdout
        return
    path = Path(out)
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise click.FileError(out, hint=error.strerror) from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
