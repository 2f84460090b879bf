"""How long each account's events are kept: 180 days, or what was set for the account.

New events get their days from a dictionary when they are inserted; stored ones by a mutation. An
insert under way while the days change, or another server whose dictionary is older, may still write
the old days: so what was set is reconciled once more after the dictionary's lifetime.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

__all__ = [
    "DEFAULT_DAYS",
    "DICTIONARY_LIFETIME_S",
    "MAX_DAYS",
    "MIN_DAYS",
    "AccountRetention",
    "check_period",
    "days_of",
    "list_retention",
    "put_period",
    "reconcile_retention",
    "set_retention",
]

DEFAULT_DAYS = 180
"""Of every account without days of its own; it stands in 0004_ingest.sql too."""
MIN_DAYS, MAX_DAYS = 1, 36_500
# LIFETIME MAX of audit.retention_by_account: no server's copy is older than this.
DICTIONARY_LIFETIME_S = 60
_AS_SET = "dictGetOrDefault('audit.retention_by_account', 'days', account, toUInt16(%(default)s))"


@dataclass(frozen=True, slots=True)
class AccountRetention:
    """One account's own retention, in days from the moment an event is received."""

    account: str
    days: int
    changed_at: datetime


def list_retention(client: Client) -> list[AccountRetention]:
    """Return the accounts with days of their own, by name."""
    rows = client.query(
        "SELECT account, days, changed_at FROM audit.retention FINAL ORDER BY account",
        tz_mode="aware",
    ).result_rows
    return [AccountRetention(*row) for row in rows]


def days_of(client: Client, account: str) -> int:
    """Return how many days `account`'s events are kept."""
    rows = client.query(
        "SELECT days FROM audit.retention FINAL WHERE account = %(account)s",
        parameters={"account": account},
    ).result_rows
    return int(rows[0][0]) if rows else DEFAULT_DAYS


def check_period(account: str, days: int) -> None:
    """Raise ValueError for days out of range, and for an empty account."""
    if not MIN_DAYS <= days <= MAX_DAYS:
        raise ValueError(f"{days} days: must be {MIN_DAYS} to {MAX_DAYS}")
    if not account:
        raise ValueError("the account is empty")


def set_retention(client: Client, account: str, days: int) -> None:
    """Keep `account`'s events for `days`, the stored ones too; blocks while those are rewritten.

    Call `reconcile_retention` once more after DICTIONARY_LIFETIME_S. Shorter days delete what is
    older when ClickHouse next merges. Raises ValueError for days out of range, and what
    clickhouse-connect raises.
    """
    put_period(client, account, days)
    reconcile_retention(client, account)


def put_period(client: Client, account: str, days: int) -> None:
    """Say how long `account`'s events are kept; stored ones follow by `reconcile_retention`."""
    check_period(account, days)
    client.insert("audit.retention", [[account, days]], column_names=["account", "days"])


def reconcile_retention(client: Client, account: str | None = None) -> int:
    """Bring every stored event to the days that are set; returns how many were not.

    Looks at one account's events, or at all. Blocks while they are rewritten.
    """
    client.command("SYSTEM RELOAD DICTIONARY audit.retention_by_account")
    parameters = {"account": account, "default": DEFAULT_DAYS}
    differs = f"retention_days != {_AS_SET}"
    if account is not None:
        differs = f"account = %(account)s AND {differs}"
    rows = client.query(
        f"SELECT count() FROM audit.events WHERE {differs}",  # noqa: S608  # constant text
        parameters=parameters,
    ).result_rows
    count = int(rows[0][0])
    if count:
        client.command(
            f"ALTER TABLE audit.events UPDATE retention_days = {_AS_SET} WHERE {differs}",
            parameters=parameters,
            settings={"mutations_sync": 2},
        )
    return count
