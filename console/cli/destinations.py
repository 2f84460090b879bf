"""`auditbus destinations list|test|pause|resume|replay`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import NamedTuple

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import (
    event_filters_without_time,
    listing_format,
    parsed,
    pipeline_settings,
)
from auditbus.console.cli.safe_text import printable
from auditbus.console.cli.terminal import note, print_listing, progress
from auditbus.console.destinations import (
    Overview,
    Period,
    Replay,
    ReplayPlan,
    overview,
    set_paused,
    try_destination,
)
from auditbus.console.destinations.errors import UnknownDestination
from auditbus.console.query.connection import connected
from auditbus.console.query.moments import parse_since, parse_until
from auditbus.console.query.predicate import Predicate
from auditbus.runtime.settings import Settings
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.registry import load_destinations
from auditbus.sinks.siem.tally import Counts

__all__ = ["destinations"]

_COLUMNS = {
    "name": "Destination",
    "type": "Type",
    "state": "State",
    "lag": "Lag",
    "last_success_at": "Last success",
    **{name: name.capitalize() for name in Counts.__struct_fields__},
    "last_error_text": "Last error",
    "status_at": "As of",
}
_VERDICTS = {
    "delivered": ExitCode.DONE,
    "refused": ExitCode.REFUSED,
    "unreachable": ExitCode.UNREACHABLE,
}


@click.group(
    epilog="""\b
Examples:
  auditbus destinations list
  auditbus destinations test soc
  auditbus destinations replay soc --since 7d --account acme"""
)
def destinations() -> None:
    """List, try, pause and resume SIEM destinations; send stored events again."""


@destinations.command(
    "list",
    short_help="Show how every destination stands.",
    epilog="""\b
Examples:
  auditbus destinations list
  auditbus destinations list --format json | jq 'select(.state != "delivering")'

States: delivering, retrying (goes on by itself), blocked (a person must act), paused, stopped,
silent (no forwarder has reported for 45 s), never started. Lag is asked of Kafka just now; the
counts are those since the forwarders started, as of their last report.""",
)
@listing_format
@pipeline_settings
def list_(settings: Settings, output: str) -> None:
    """Show how every destination stands, whether a forwarder runs or not."""
    print_listing(_COLUMNS, (_row(item, output) for item in overview(settings)), output)


@destinations.command(
    short_help="Send NAME a marked event and report its answer.",
    epilog="""\b
Examples:
  auditbus destinations test soc
  auditbus destinations test soc --config /etc/auditbus.toml --timeout 120

The event is marked: action AuditbusDestinationTested, metadata.auditbus_test. It passes the
destination's redaction and encoding, with the address and credentials of the settings here.
Exit codes: 0 taken, 1 refused, 2 wrong setting, 3 not reached or not acknowledged in time.""",
)
@click.argument("name")
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Wait so long for an acknowledgement that comes later.",
)
@pipeline_settings
def test(settings: Settings, name: str, timeout: float) -> None:
    """Send one marked event to NAME and report what it answers."""
    trial = try_destination(_configured(settings, name), settings.operator_account, timeout)
    if not trial.passes_filter:
        note("note: its filter would not let this event through; sent all the same")
    answer = printable(trial.answer)
    click.echo(f"{name}: {trial.verdict} in {trial.took_s:.1f} s: {trial.code}: {answer}")
    note(f"event {trial.event_id}")
    click.get_current_context().exit(_VERDICTS[trial.verdict])


@destinations.command(
    epilog="""\b
Examples:
  auditbus destinations pause soc

Kept in Kafka, so it survives restarts and holds for every forwarder; a replay to it ends, and goes
on with the same command later. Events wait in Kafka for as long as it keeps them, 7 days."""
)
@click.argument("name")
@pipeline_settings
def pause(settings: Settings, name: str) -> None:
    """Send nothing more to NAME until it is resumed."""
    _set_paused(settings, name, paused=True)


@destinations.command(
    epilog="""\b
Examples:
  auditbus destinations resume soc

Also for a destination that is blocked, once the cause is mended: it is tried at once."""
)
@click.argument("name")
@pipeline_settings
def resume(settings: Settings, name: str) -> None:
    """Send to NAME again, from where it stopped."""
    _set_paused(settings, name, paused=False)


class _Moment(NamedTuple):
    words: str
    moment: datetime


_SINCE = parsed("moment", lambda text: _Moment(text, parse_since(text, datetime.now(UTC))))
_UNTIL = parsed("moment", lambda text: _Moment(text, parse_until(text, datetime.now(UTC))))


@destinations.command(
    short_help="Send stored events to NAME.",
    epilog="""\b
Examples:
  auditbus destinations replay soc --since 2026-11-20 --until 2026-11-21
  auditbus destinations replay soc --since 7d --account acme --category storage --rate 200 --yes

Events are read from ClickHouse in the order they were received, and take the way of live ones:
filter, redaction, encoding, dead letters. Ended half-way, the same command goes on where it
stopped. Events may come twice; their id tells.""",
)
@click.argument("name")
@click.option(
    "--since", type=_SINCE, required=True, metavar="TIME", help="Received from then on: 7d."
)
@click.option("--until", type=_UNTIL, metavar="TIME", help="Received before then.  [default: now]")
@event_filters_without_time
@click.option(
    "--rate",
    type=click.FloatRange(min=0),
    default=500.0,
    show_default=True,
    metavar="N",
    help="Most events a second, so that live ones have room; 0 for no bound.",
)
@click.option("--restart", is_flag=True, help="From the beginning, whatever was sent before.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pipeline_settings
def replay(
    settings: Settings,
    wanted: Predicate,
    name: str,
    since: _Moment,
    until: _Moment | None,
    rate: float,
    restart: bool,
    yes: bool,
) -> None:
    """Send stored events to NAME once more, or to a new destination for the first time."""
    destination = _configured(settings, name)
    end = until or _Moment("", datetime.now(UTC))
    period = Period(since.moment, end.moment, f"{since.words} {end.words}")
    with connected(settings.clickhouse) as store:
        work = Replay(
            settings.kafka, store, destination, wanted, period, rate=rate, restart=restart
        )
        plan = work.plan()
        _state(plan, name)
        if plan.total == plan.done:
            return
        if not yes:
            click.confirm(f"Send {plan.total - plan.done:,} to {name}?", abort=True)
        with progress() as shown:
            task = shown.add_task("replaying", total=plan.total, completed=plan.done)
            result = work.run(lambda count: shown.advance(task, count))
    counts = result.counts
    click.echo(
        f"replayed {result.read}: acknowledged {counts.acknowledged}, filtered {counts.filtered}, "
        f"refused {counts.refused}, too old {result.too_old}, retried {counts.retried}"
    )
    if counts.refused:
        note("refused events: auditbus dead-letters list --forwarder")
        click.get_current_context().exit(ExitCode.REFUSED)


def _state(plan: ReplayPlan, name: str) -> None:
    note(
        f"to replay: {plan.total - plan.done:,} events received from "
        f"{plan.since:%Y-%m-%dT%H:%M:%SZ} to {plan.until:%Y-%m-%dT%H:%M:%SZ}, before the filter "
        f"of {name}"
    )
    if plan.was_finished:
        note("the same was replayed before, to its end: all of it is sent again")
    if plan.done:
        note(f"done before: {plan.done:,}; --restart sends them again")
    if plan.too_old:
        note(f"too old for {name} (max_event_age_s): {plan.too_old:,}, to be left out")


def _set_paused(settings: Settings, name: str, *, paused: bool) -> None:
    heeded = set_paused(settings, name, paused=paused)
    click.echo(f"{name}: {'paused' if paused else 'resumed'}")
    note(
        f"running forwarders that heed it: {heeded}" if heeded else "no running forwarder heeds it"
    )


def _configured(settings: Settings, name: str) -> Destination:
    tables = settings.forwarder.destinations
    if name not in tables:
        known = ", ".join(sorted(tables)) or "none"
        raise UnknownDestination(f"no destination {name} in the settings; there are: {known}")
    catalogue = Catalogue.load(settings.catalogue)
    (destination,) = load_destinations({name: tables[name]}, os.environ, catalogue)
    return destination


def _row(item: Overview, output: str) -> dict[str, object]:
    error = item.last_error
    row: dict[str, object] = {
        "name": item.name,
        "type": item.kind,
        "state": item.state,
        "lag": item.lag,
        "last_success_at": _time(item.last_success_ms),
        **{name: getattr(item.counts, name) for name in Counts.__struct_fields__},
        "status_at": _time(item.status_ms),
    }
    if output == "table":
        if error is not None:
            row["last_error_text"] = f"{_time(error.at_ms)} {error.code}: {error.reason}"
        return row
    row["topic"] = item.topic
    row["trouble"] = item.trouble
    row["last_error"] = error and {
        "at": _time(error.at_ms),
        "code": error.code,
        "reason": error.reason,
    }
    row["counts_since"] = _time(item.since_ms)
    row["processes"] = item.processes
    row["configured"] = item.is_configured
    return row


def _time(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else format_epoch_ms(moment_ms)
