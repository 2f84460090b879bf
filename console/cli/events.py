"""`auditbus events`: what is stored, newest first."""

from __future__ import annotations

import sys

import click

from auditbus.console.cli.event_table import EventTable
from auditbus.console.cli.options import event_filters, pipeline_settings
from auditbus.console.cli.safe_text import one_line_json
from auditbus.console.cli.terminal import note, output_console, write_json_lines
from auditbus.console.export import ALL_COLUMNS
from auditbus.console.export.stream import ExportStream
from auditbus.console.export.text import csv_writer
from auditbus.console.query.connection import connected
from auditbus.console.query.events import EventLog
from auditbus.console.query.predicate import Predicate
from auditbus.runtime.settings import Settings

__all__ = ["events"]


@click.command(
    epilog="""\b
Examples:
  auditbus events --account acme --since 2h
  auditbus events --action StorageDeleted --action StorageUpdated --outcome failure
  auditbus events --ip 81.2.69.0/24 --country DE --until 2026-11-21
  auditbus events --text "invoice backup" --format json --limit 0 | jq .actor.email

An option given several times means any of its values; different options must all hold."""
)
@event_filters
@click.option(
    "--limit",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Most events; 0 for all.",
)
@click.option(
    "--format",
    "output",
    type=click.Choice(("table", "json", "csv")),
    default="table",
    show_default=True,
    help="A table for people, one enriched event a line, or CSV.",
)
@pipeline_settings
def events(settings: Settings, wanted: Predicate, limit: int, output: str) -> None:
    """Show events, newest first. --format json gives each as it was stored, on one line."""
    most = limit or None
    with connected(settings.clickhouse) as client:
        log = EventLog(client)
        if output == "json":
            write_json_lines(map(one_line_json, log.originals(wanted, most)))
        elif output == "csv":
            stream = ExportStream.planned(client, csv_writer(ALL_COLUMNS, bom=False), wanted, most)
            stdout = click.get_binary_stream("stdout")
            for piece in stream.chunks():
                stdout.write(piece)
            stdout.flush()
        else:
            table = EventTable(output_console())
            shown = table.print(log.newest(wanted, most))
            table.finish()
            if shown == limit and sys.stderr.isatty():
                note(f"{shown} events; more with --limit")
            elif shown == 0:
                note("no events found")
