"""`auditbus erase`: take a person out of the log, and leave that something happened."""

from __future__ import annotations

import getpass
import socket
from datetime import UTC, datetime
from typing import Any

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.terminal import note, print_listing, progress
from auditbus.console.erasure import Erasure, Matched, erase, matched
from auditbus.console.own_events import own_producer
from auditbus.console.query.connection import connected
from auditbus.runtime.settings import Settings
from auditbus.schemas.ids import uuid7

__all__ = ["erase_command"]

_COLUMNS = {
    "account": "Account",
    "as_actor": "As actor",
    "as_other": "Otherwise",
    "held": "On hold",
    "first": "First",
    "last": "Last",
}
_RECORD_TIMEOUT_S = 30.0


@click.command(
    "erase",
    epilog="""\b
Examples:
  auditbus erase --user u-17 --dry-run
  auditbus erase --user u-17 --account acme --reason "request 2026-114" --yes

\b
Of each event that names the person there stay: id, time, action, account, outcome, error code, and
the other ids; all else goes. What is published, replayed or imported again of the time before comes
in without the person, too. Kafka keeps its copy until its own retention, and SIEMs, exports and
backups have theirs. Run it again if it is interrupted.""",
)
@click.option("--user", required=True, metavar="ID", help="The person's id, as actor or target.")
@click.option("--account", metavar="ID", help="Only in this account.  [default: in all]")
@click.option("--reason", default="", metavar="TEXT", help="For the record; no personal data.")
@click.option("--dry-run", is_flag=True, help="Say what would be erased, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@listing_format
@pipeline_settings
def erase_command(
    settings: Settings,
    user: str,
    account: str | None,
    reason: str,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Erase a person: rewrite the events that name them, for good.

    The log records who asked. Events on legal hold are not touched: release the hold first.
    """
    if not user:
        raise click.BadParameter("is empty", param_hint="--user")
    erasure = Erasure(
        id=uuid7(),
        user=user,
        account=account or None,
        until=datetime.now(UTC),
        requested_by=f"{getpass.getuser()}@{socket.gethostname()}",
        reason=reason,
    )
    with connected(settings.clickhouse) as client:
        found = matched(client, user, erasure.account, erasure.until)
        print_listing(_COLUMNS, map(_row, found), output)
        total = sum(item.as_actor + item.as_other for item in found)
        if dry_run:
            note(f"{total:,} events would be rewritten")
            return
        if held := sum(item.held for item in found):
            note(f"{held:,} events are on legal hold: nothing was erased")
            raise click.exceptions.Exit(ExitCode.REFUSED)
        if not yes:
            click.confirm(
                f"Erase this person from {total:,} events, for good?", abort=True, err=True
            )
        with own_producer(settings, "auditbus-erase") as producer:
            producer.emit_and_wait(_recorded(erasure, found), timeout_s=_RECORD_TIMEOUT_S)
        with progress() as shown:
            task = shown.add_task("rewriting", total=total)
            left = erase(client, erasure, lambda done: shown.update(task, completed=done))
    click.echo(f"erased from {total:,} events; erasure {erasure.id}")
    if left:
        note(f"{left:,} events came in meanwhile: run it again")
        raise click.exceptions.Exit(ExitCode.REFUSED)


def _row(item: Matched) -> dict[str, object]:
    return {
        "account": item.account,
        "as_actor": item.as_actor,
        "as_other": item.as_other,
        "held": item.held,
        "first": f"{item.first:%Y-%m-%dT%H:%M:%SZ}",
        "last": f"{item.last:%Y-%m-%dT%H:%M:%SZ}",
    }


def _recorded(erasure: Erasure, found: list[Matched]) -> dict[str, Any]:
    """Return the event that records the request: it does not name the person."""
    return {
        "action": "PersonErased",
        "description": "Erased a person from the audit log",
        "actor": {"type": "user", "id": erasure.requested_by},
        "targets": [{"type": "erasure", "id": erasure.id}],
        "metadata": {
            "reason": erasure.reason,
            "account": erasure.account,
            "events": {item.account: item.as_actor + item.as_other for item in found},
        },
    }
