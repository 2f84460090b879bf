"""`auditbus tail`: events as they are stored."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import click

from auditbus.console.cli.event_table import EventTable
from auditbus.console.cli.options import event_filters, listing_format, pipeline_settings
from auditbus.console.cli.safe_text import one_line_json
from auditbus.console.cli.terminal import note, output_console, write_json_lines
from auditbus.console.query.connection import connected, explained
from auditbus.console.query.events import EventRow
from auditbus.console.query.predicate import Predicate
from auditbus.console.query.tail import Tail
from auditbus.runtime.errors import Unreachable
from auditbus.runtime.retry import Backoff
from auditbus.runtime.settings import ClickHouseSettings, Settings
from auditbus.runtime.shutdown import notice_interrupts

__all__ = ["tail"]

_INTERVAL_S = 0.5
# However long a poll takes, ClickHouse rests twice as long.
_REST = 2


@click.command(
    epilog="""\b
Examples:
  auditbus tail
  auditbus tail --lines 0 --account acme --outcome failure
  auditbus tail --category storage --format json | jq -c '[.action, .actor.email]'

Ctrl-C ends it."""
)
@event_filters
@click.option(
    "--lines",
    type=click.IntRange(min=0, max=10_000),
    default=10,
    show_default=True,
    metavar="N",
    help="Show this many that exist already.",
)
@listing_format
@pipeline_settings
def tail(settings: Settings, wanted: Predicate, lines: int, output: str) -> None:
    """Show events as they are stored, each once, also one that is stored late."""
    table = EventTable(output_console()) if output == "table" else None
    with suppress(KeyboardInterrupt), connected(settings.clickhouse) as client:
        show = table.print if table else _print_json
        _follow(Tail(client, wanted), lines, show, settings.clickhouse)
    if table:
        table.finish()


def _print_json(rows: Iterable[EventRow]) -> int:
    return write_json_lines(one_line_json(row.event) for row in rows)


def _follow(
    events: Tail,
    lines: int,
    show: Callable[[Iterable[EventRow]], object],
    clickhouse: ClickHouseSettings,
) -> None:
    interrupted = notice_interrupts()
    show(events.start(lines))
    backoff = Backoff(base_s=_INTERVAL_S, cap_s=10.0)
    while not interrupted.is_set():
        began = time.monotonic()
        try:
            with explained(clickhouse):
                show(events.poll())
        except Unreachable as error:
            if not backoff.failures:
                note(f"{error}\ntrying again ...")
            time.sleep(backoff.next_delay_s())
        else:
            backoff.reset()
            time.sleep(max(_INTERVAL_S, _REST * (time.monotonic() - began)))
