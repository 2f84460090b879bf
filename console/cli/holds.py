"""`auditbus holds list|set|release`: what must not expire, whatever the period."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import SINCE, UNTIL, listing_format, pipeline_settings
from auditbus.console.cli.own_record import operator, recording
from auditbus.console.cli.terminal import note, print_listing
from auditbus.console.query.connection import connected
from auditbus.console.retention import Hold, hold_history, list_holds, release_hold, set_hold
from auditbus.runtime.settings import Settings

__all__ = ["holds"]

_COLUMNS = {
    "id": "Id",
    "account": "Account",
    "user": "User",
    "since": "From",
    "until": "To",
    "reason": "Reason",
    "set_by": "Set by",
    "set_at": "Set",
    "released_by": "Released by",
    "released_at": "Released",
}
_CLIENT_ID = "auditbus-holds"


@click.group(
    epilog="""\b
Examples:
  auditbus holds set --account acme --reason "case 7"
  auditbus holds list
  auditbus holds release ID"""
)
def holds() -> None:
    """Keep events beyond their period, for as long as a legal hold lasts."""


@holds.command(
    "list",
    short_help="List the legal holds.",
    epilog="""\b
Examples:
  auditbus holds list
  auditbus holds list --all --format json""",
)
@click.option("--all", "all_", is_flag=True, help="Those that were released, too.")
@listing_format
@pipeline_settings
def list_(settings: Settings, all_: bool, output: str) -> None:
    """List the legal holds, the oldest first."""
    with connected(settings.clickhouse) as client:
        found = hold_history(client) if all_ else list_holds(client)
    print_listing(_COLUMNS, map(_row, found), output)


@holds.command(
    "set",
    short_help="Set a legal hold.",
    epilog="""\b
Examples:
  auditbus holds set --account acme --reason "case 7"
  auditbus holds set --user u-17 --reason "case 8"
  auditbus holds set --account acme --since 2026-01-01 --until 2026-03-31 --reason "audit 2026"

Together they mean what all of them cover. Times are those of `occurred_at`.""",
)
@click.option("--account", default="", metavar="ID", help="This account's events.")
@click.option("--user", default="", metavar="ID", help="Events with this actor, or target.")
@click.option("--since", type=SINCE, metavar="TIME", help="From then on.")
@click.option("--until", type=UNTIL, metavar="TIME", help="Before then; a date counts as a whole.")
@click.option("--reason", required=True, metavar="TEXT", help="Why, for the record.")
@pipeline_settings
def set_(
    settings: Settings,
    account: str,
    user: str,
    since: datetime | None,
    until: datetime | None,
    reason: str,
) -> None:
    """Hold stored and new events: none of them expires until the hold is released.

    The log records who asked, first: without Kafka nothing is changed.
    """
    if not (account or user or since or until):
        raise click.UsageError("Name an account, a user or a time.")
    if since and until and since >= until:
        raise click.BadParameter("is not before --until", param_hint="--since")
    if not reason.strip():
        raise click.BadParameter("is empty", param_hint="--reason")
    with connected(settings.clickhouse) as client, recording(settings, _CLIENT_ID) as record:
        hold = set_hold(
            client, account=account, user=user, since=since, until=until, reason=reason,
            by=operator(), now=datetime.now(UTC), record=record,
        )  # fmt: skip
    click.echo(f"held: {hold.id}")


@holds.command(
    "release",
    short_help="Release a legal hold.",
    epilog="""\b
Examples:
  auditbus holds release 0199f3a2-0000-7000-8000-000000000001

What no other hold covers, and is past its period, goes when ClickHouse next merges.""",
)
@click.argument("id_", metavar="ID")
@click.option("--yes", is_flag=True, help="Don't ask.")
@pipeline_settings
def release(settings: Settings, id_: str, yes: bool) -> None:
    """Release the hold ID. Who set it and who released it stays on record."""
    with connected(settings.clickhouse) as client:
        found = [hold for hold in list_holds(client) if hold.id == id_]
        if not found:
            note(f"{id_}: no such hold")
            raise click.exceptions.Exit(ExitCode.REFUSED)
        if not yes:
            print_listing(_COLUMNS, map(_row, found), "table")
            click.confirm("Release it?", abort=True, err=True)
        with recording(settings, _CLIENT_ID) as record:
            release_hold(client, id_, by=operator(), record=record)
    click.echo(f"released: {id_}")


def _row(hold: Hold) -> dict[str, object]:
    return {
        "id": hold.id,
        "account": hold.account,
        "user": hold.user,
        "since": _moment(hold.since),
        "until": _moment(hold.until),
        "reason": hold.reason,
        "set_by": hold.set_by,
        "set_at": _moment(hold.set_at),
        "released_by": hold.changed_by if hold.gone else "",
        "released_at": _moment(hold.changed_at) if hold.gone else "",
    }


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}" if moment else ""
