"""`auditbus retention`: how long events are kept, and what will go when."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.own_record import operator, recording
from auditbus.console.cli.terminal import note, print_listing, progress
from auditbus.console.query.connection import connected
from auditbus.console.retention import (
    DEFAULT_DAYS,
    DICTIONARY_LIFETIME_S,
    MAX_DAYS,
    MIN_DAYS,
    Changed,
    apply_due,
    cancel_change,
    change_period,
    days_of,
    forecast,
    going,
    list_retention,
    reconcile_holds,
    reconcile_retention,
    waiting_changes,
)
from auditbus.runtime.settings import Settings

__all__ = ["retention"]

_COLUMNS = {
    "account": "Account",
    "days": "Days",
    "changed_at": "Set",
    "then_days": "Then",
    "then_from": "From",
    "asked_by": "Asked by",
}
_FORECAST = {"start": "From", "account": "Account", "events": "Events", "bytes": "Bytes"}
_MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_CLIENT_ID = "auditbus-retention"


@click.group(
    epilog="""\b
Examples:
  auditbus retention list
  auditbus retention set acme 365
  auditbus retention forecast --days 30"""
)
def retention() -> None:
    """Say how many days an account's events are kept, and see what will go when."""


@retention.command(
    "list",
    short_help="List the accounts with days of their own.",
    epilog="""\b
Examples:
  auditbus retention list
  auditbus retention list --format json""",
)
@listing_format
@pipeline_settings
def list_(settings: Settings, output: str) -> None:
    """List the accounts whose events are not kept for the default of 180 days.

    `Then` and `From`: a shorter period that waits.
    """
    with connected(settings.clickhouse) as client:
        rows: dict[str, dict[str, Any]] = {
            item.account: {
                "account": item.account,
                "days": item.days,
                "changed_at": f"{item.changed_at:{_MOMENT}}",
            }
            for item in list_retention(client)
        }
        for waiting in waiting_changes(client):
            default = {"account": waiting.account, "days": DEFAULT_DAYS}
            rows.setdefault(waiting.account, default).update(
                then_days=waiting.days,
                then_from=f"{waiting.due_at:{_MOMENT}}",
                asked_by=waiting.changed_by,
            )
    print_listing(_COLUMNS, (rows[account] for account in sorted(rows)), output)
    note(f"every other account: {DEFAULT_DAYS} days")


@retention.command(
    "set",
    short_help="Keep an account's events for so many days.",
    epilog="""\b
Examples:
  auditbus retention set acme 365
  auditbus retention set acme 30 --yes
  auditbus retention set acme 36500 --no-wait

Fewer days delete what is older, for good: so they are asked about, and take effect only after
AUDITBUS_CONSOLE_RETENTION_GRACE_HOURS, in which `auditbus retention cancel` takes them back. A
running console, or `auditbus retention reconcile`, then lets them take effect.""",
)
@click.argument("account")
@click.argument("days", type=click.IntRange(MIN_DAYS, MAX_DAYS))
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--now", "at_once", is_flag=True, help="Fewer days take effect at once.")
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help=f"Look again after {DICTIONARY_LIFETIME_S} s for events that were being stored meanwhile.",
)
@pipeline_settings
def set_(settings: Settings, account: str, days: int, yes: bool, at_once: bool, wait: bool) -> None:
    """Keep ACCOUNT's events for DAYS days from their receipt, the stored ones too.

    The log records who asked, first: without Kafka nothing is changed.
    """
    if not account:
        raise click.BadParameter("is empty", param_hint="ACCOUNT")
    grace = timedelta(hours=0 if at_once else settings.console.retention_grace_hours)
    now = datetime.now(UTC)
    with connected(settings.clickhouse) as client:
        confirmed = None
        if days < days_of(client, account) and not yes:
            would_go = going(client, account, days, now + grace)
            click.confirm(
                f"Delete {would_go.events:,} events ({would_go.bytes:,} bytes) of {account} at "
                f"{now + grace:{_MOMENT}}, for good?",
                abort=True,
                err=True,
            )
            confirmed = would_go.events
        with recording(settings, _CLIENT_ID) as record:
            changed = change_period(
                client, account, days, by=operator(), now=now, grace=grace, record=record,
                confirmed=confirmed,
            )  # fmt: skip
        click.echo(_said(changed))
        if wait and changed.due_at is None:
            _wait()
            late = reconcile_retention(client, account)
            if late:
                click.echo(f"{late} events that were being stored meanwhile too")


@retention.command(
    "cancel",
    short_help="Take back a shorter period that waits.",
    epilog="""\b
Examples:
  auditbus retention cancel acme""",
)
@click.argument("account")
@pipeline_settings
def cancel(settings: Settings, account: str) -> None:
    """Take back the shorter period of ACCOUNT that has not taken effect yet."""
    with (
        connected(settings.clickhouse) as client,
        recording(settings, _CLIENT_ID) as record,
    ):
        if not cancel_change(client, account, by=operator(), record=record):
            note(f"{account}: no change waits")
            raise click.exceptions.Exit(ExitCode.REFUSED)
        click.echo(f"{account}: {days_of(client, account)} days, as before")


@retention.command(
    "forecast",
    short_help="Show what will expire when.",
    epilog="""\b
Examples:
  auditbus retention forecast
  auditbus retention forecast --days 90 --by week --account acme --format json

Bytes are those of the events' text; on disk they take about a tenth.""",
)
@click.option(
    "--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="How far."
)
@click.option("--by", type=click.Choice(("day", "week")), default="day", show_default=True)
@click.option("--account", metavar="ID", help="Only of this account.")
@listing_format
@pipeline_settings
def forecast_(settings: Settings, days: int, by: str, account: str | None, output: str) -> None:
    """Show how many events and bytes of each account will expire. What is on hold does not."""
    until = datetime.now(UTC) + timedelta(days=days)
    with connected(settings.clickhouse) as client:
        found = forecast(client, until, "week" if by == "week" else "day", account)
    rows = [
        {
            "start": f"{item.start:%Y-%m-%d}",
            "account": item.account,
            "events": item.events,
            "bytes": item.bytes,
        }
        for item in found
    ]
    print_listing(_FORECAST, rows, output)


@retention.command(
    "reconcile",
    short_help="Bring stored events to what is set.",
    epilog="""\b
Examples:
  auditbus retention reconcile

A running console does the same: what is due within a minute, all events every hour.""",
)
@pipeline_settings
def reconcile(settings: Settings) -> None:
    """Let changes that are due take effect, and bring every stored event to periods and holds."""
    with connected(settings.clickhouse) as client:
        now = datetime.now(UTC)
        if any(waiting.due_at <= now for waiting in waiting_changes(client)):
            with recording(settings, _CLIENT_ID) as record:
                for waiting in apply_due(client, now, record):
                    click.echo(f"{waiting.account}: {waiting.days} days from now on")
        click.echo(f"{reconcile_holds(client)} events were not held or released as they should")
        click.echo(f"{reconcile_retention(client)} events had another period")


def _said(changed: Changed) -> str:
    if changed.due_at is None:
        return f"{changed.account}: {changed.days} days, stored events too"
    return (
        f"{changed.account}: {changed.days} days from {changed.due_at:{_MOMENT}} on, "
        f"until then {changed.days_before}; take it back with: auditbus retention cancel"
    )


def _wait() -> None:
    with progress() as shown:
        seconds = range(DICTIONARY_LIFETIME_S)
        for _ in shown.track(seconds, description="until every server has read the change"):
            time.sleep(1)
