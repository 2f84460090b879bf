"""`auditbus retention list|set`: how long events are kept."""

from __future__ import annotations

import time

import click

from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.terminal import note, print_listing, progress
from auditbus.console.query.connection import connected
from auditbus.console.retention import (
    DEFAULT_DAYS,
    DICTIONARY_LIFETIME_S,
    MAX_DAYS,
    MIN_DAYS,
    list_retention,
    reconcile_retention,
    set_retention,
)
from auditbus.runtime.settings import Settings

__all__ = ["retention"]

_COLUMNS = {"account": "Account", "days": "Days", "changed_at": "Set"}


@click.group(
    epilog="""\b
Examples:
  auditbus retention list
  auditbus retention set acme 365"""
)
def retention() -> None:
    """List or set how many days an account's events are kept."""


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
    """List the accounts whose events are not kept for the default of 180 days."""
    with connected(settings.clickhouse) as client:
        rows = [
            {
                "account": item.account,
                "days": item.days,
                "changed_at": f"{item.changed_at:%Y-%m-%dT%H:%M:%SZ}",
            }
            for item in list_retention(client)
        ]
    print_listing(_COLUMNS, rows, output)
    note(f"every other account: {DEFAULT_DAYS} days")


@retention.command(
    "set",
    short_help="Keep an account's events for so many days.",
    epilog="""\b
Examples:
  auditbus retention set acme 365
  auditbus retention set acme 36500 --no-wait

Fewer days delete what is older when ClickHouse next merges: that can't be undone.""",
)
@click.argument("account")
@click.argument("days", type=click.IntRange(MIN_DAYS, MAX_DAYS))
@click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help=f"Look again after {DICTIONARY_LIFETIME_S} s for events that were being stored meanwhile.",
)
@pipeline_settings
def set_(settings: Settings, account: str, days: int, wait: bool) -> None:
    """Keep ACCOUNT's events for DAYS days from their receipt, the stored ones too."""
    if not account:
        raise click.BadParameter("is empty", param_hint="ACCOUNT")
    with connected(settings.clickhouse) as client:
        set_retention(client, account, days)
        click.echo(f"{account}: {days} days, stored events too")
        if wait:
            _wait()
            late = reconcile_retention(client, account)
            if late:
                click.echo(f"{late} events that were being stored meanwhile too")


def _wait() -> None:
    with progress() as shown:
        seconds = range(DICTIONARY_LIFETIME_S)
        for _ in shown.track(seconds, description="until every server has read the change"):
            time.sleep(1)
