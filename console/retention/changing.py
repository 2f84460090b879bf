"""Changing an account's period: longer at once; shorter when confirmed, and after a grace period.

A change that waits is the newest row of its account in `audit.retention_changes`; one more change
of the account takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from clickhouse_connect.driver.client import Client

from auditbus.console.access.history import History
from auditbus.console.access.records import Record as Row
from auditbus.console.retention.forecast import Going, going
from auditbus.console.retention.holds import reconcile_holds
from auditbus.console.retention.periods import (
    check_period,
    days_of,
    put_period,
    reconcile_retention,
    set_retention,
)
from auditbus.console.retention.recorded import Record, Recorded
from auditbus.schemas.errors import AuditbusError

__all__ = [
    "Changed",
    "NotConfirmed",
    "Waiting",
    "apply_due",
    "cancel_change",
    "change_period",
    "waiting_changes",
]


class NotConfirmed(AuditbusError):
    """More events would go than was confirmed; `going` says how many, from `at` on."""

    def __init__(self, going: Going, at: datetime) -> None:
        """Say what would go."""
        super().__init__(
            f"{going.events} events ({going.bytes} bytes) would go at {at:%Y-%m-%dT%H:%M:%SZ}: "
            "confirm that number"
        )
        self.going = going
        self.at = at


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting(Row):
    """A shorter period that takes effect at `due_at`, unless it is cancelled."""

    account: str
    days: int
    days_before: int
    asked_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True)
class Changed:
    """What was asked for. `due_at` is None where it holds already."""

    account: str
    days_before: int
    days: int
    due_at: datetime | None
    going: Going


def change_period(
    client: Client,
    account: str,
    days: int,
    *,
    by: str,
    now: datetime,
    grace: timedelta,
    record: Record,
    confirmed: int | None,
) -> Changed:
    """Keep `account`'s events for `days`: at once, or after `grace` where that is shorter.

    `confirmed` is the most events that may go, None for any number. What is longer blocks while
    stored events are rewritten. Raises ValueError for days out of range, NotConfirmed, and what
    `record` and clickhouse-connect raise; nothing is changed then.
    """
    check_period(account, days)
    before, waits = days_of(client, account), _changes(client)
    due = now + grace
    would_go = going(client, account, days, due)
    if days < before and confirmed is not None and would_go.events > confirmed:
        raise NotConfirmed(would_go, due)
    at_once = days >= before or grace <= timedelta(0)
    record(_recorded(account, before, days, would_go, now if at_once else due))
    asked = Waiting(
        account=account, days=days, days_before=before, asked_at=now, due_at=due, changed_by=by
    )
    if not at_once:
        waits.put(asked)
        return Changed(account, before, days, due, would_go)
    if waits.get(account) is not None:
        waits.put(replace(asked, gone=True))
    reconcile_holds(client)  # the mutation deletes at once what is past its new period
    set_retention(client, account, days)
    return Changed(account, before, days, None, would_go)


def waiting_changes(client: Client) -> list[Waiting]:
    """Return the changes that wait, by account."""
    return _changes(client).all()


def cancel_change(client: Client, account: str, *, by: str, record: Record) -> bool:
    """Forget the change of `account` that waits; False where there is none."""
    waits = _changes(client)
    if (waiting := waits.get(account)) is None:
        return False
    record(
        Recorded(
            f"Cancelled a shorter retention of {account}",
            _target(account),
            ({"field": "pending_days", "before": waiting.days, "after": None},),
        )
    )
    waits.put(replace(waiting, gone=True, changed_by=by))
    return True


def apply_due(client: Client, now: datetime, record: Record) -> list[Waiting]:
    """Let the changes that are due take effect, and return them. May be killed and called again.

    A change no longer waits once its period is written: if stored events can't be rewritten then,
    or not in time, `reconcile_retention` does it later, and nothing is recorded twice.
    """
    waits = _changes(client)
    due = [waiting for waiting in waits.all() if waiting.due_at <= now]
    if due:
        reconcile_holds(client)  # the mutation deletes at once what is past its new period
    for waiting in due:
        record(
            Recorded(
                f"Retention of {waiting.account} is {waiting.days} days from now on",
                _target(waiting.account),
                (
                    {
                        "field": "days",
                        "before": days_of(client, waiting.account),
                        "after": waiting.days,
                    },
                ),
                {"asked_by": waiting.changed_by, "asked_at": waiting.asked_at.isoformat()},
            )
        )
        put_period(client, waiting.account, waiting.days)
        waits.put(replace(waiting, gone=True))
    for waiting in due:
        reconcile_retention(client, waiting.account)
    return due


def _changes(client: Client) -> History[Waiting]:
    return History(client, "audit.retention_changes", Waiting, "account")


def _recorded(account: str, before: int, days: int, going: Going, at: datetime) -> Recorded:
    return Recorded(
        f"Set the retention of {account} to {days} days",
        _target(account),
        ({"field": "days", "before": before, "after": days},),
        {"takes_effect_at": at.isoformat(), "events_that_go": going.events},
    )


def _target(account: str) -> dict[str, str]:
    return {"type": "retention", "id": account}
