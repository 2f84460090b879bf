"""Legal holds: what they cover does not expire, whatever the period.

A hold names an account, a user, a time or any of them together. Setting one marks what is stored at
once. New events: where a hold names an account, all of that account's come in on hold (the
dictionary of 0002_holds.sql), and `reconcile_holds` releases those that no hold covers. What only a
hold without an account covers, `reconcile_holds` marks: nothing expires before a day after receipt,
so that an hour's delay loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from clickhouse_connect.driver.client import Client

from auditbus.console.access.history import History
from auditbus.console.access.records import Record as Row
from auditbus.console.query.predicate import moment_parameter
from auditbus.console.retention.recorded import Record, Recorded
from auditbus.schemas.ids import uuid7

__all__ = ["Hold", "hold_history", "list_holds", "reconcile_holds", "release_hold", "set_hold"]

# The same events as `auditbus erase` means. Looks at columns and at the bare text come first: they
# spare most events the parsing. Without a backslash (char 92), JSON has an id as it is.
_NAMES = (
    "(actor_id = %(user{n})s"
    " OR ((position(event, %(user{n})s) > 0 OR position(event, char(92)) > 0)"
    " AND JSONExtractString(event, 'actor', 'on_behalf_of', 'id') = %(user{n})s)"
    " OR (position(targets, %(user{n})s) > 0"
    " AND has(arrayMap(target -> JSONExtractString(target, 'id'),"
    " JSONExtractArrayRaw(event, 'targets')), %(user{n})s)))"
)
_HISTORY = "SELECT {} FROM audit.legal_holds ORDER BY set_at, id, changed_at"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Row):
    """One hold. Empty or None: no matter which. `since` is included, `until` is not: occurred_at.

    `gone` says that it was released: by `changed_by`, at `changed_at`.
    """

    id: str
    account: str = ""
    user: str = ""
    since: datetime | None = None
    until: datetime | None = None
    reason: str
    set_by: str
    set_at: datetime


def list_holds(client: Client) -> list[Hold]:
    """Return the holds in force, the oldest first."""
    return sorted(_holds(client).all(), key=lambda hold: hold.set_at)


def hold_history(client: Client) -> list[Hold]:
    """Return every hold there ever was, the oldest first, each as it stands."""
    names = ("id", "account", "user", "since", "until", "reason", "set_by", "set_at")
    columns = (*names, "gone", "changed_by", "changed_at")
    rows = client.query(_HISTORY.format(", ".join(columns)), tz_mode="aware").result_rows
    newest = {row[0]: Hold(**dict(zip(columns, row, strict=True))) for row in rows}
    return list(newest.values())


def set_hold(
    client: Client,
    *,
    account: str = "",
    user: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    reason: str,
    by: str,
    now: datetime,
    record: Record,
) -> Hold:
    """Hold what all that is given covers, stored and new; blocks while stored events are marked.

    Raises ValueError where it covers everything or nothing or has no reason, and what `record` and
    clickhouse-connect raise.
    """
    if not (account or user or since or until):
        raise ValueError("name an account, a user or a time")
    if since and until and since >= until:
        raise ValueError("since is not before until")
    if not reason.strip():
        raise ValueError("the reason is empty")
    hold = Hold(
        id=uuid7(), account=account, user=user, since=since, until=until, reason=reason,
        set_by=by, set_at=now, changed_by=by,
    )  # fmt: skip
    record(_recorded("Set a legal hold", hold, before=False))
    _holds(client).put(hold)
    reconcile_holds(client)
    return hold


def release_hold(client: Client, id_: str, *, by: str, record: Record) -> Hold | None:
    """Release a hold; what no other covers expires when it is due. None where there is none.

    The record of the hold stays. Blocks and raises as `set_hold`.
    """
    holds = _holds(client)
    if (hold := holds.get(id_)) is None:
        return None
    record(_recorded("Released a legal hold", hold, before=True))
    holds.put(replace(hold, gone=True, changed_by=by))
    reconcile_holds(client)
    return hold


def reconcile_holds(client: Client) -> int:
    """Mark every stored event as the holds say, no other; returns how many were not.

    Safe in several processes at once: what another has put on hold meanwhile is not released.
    Blocks while events are rewritten.
    """
    version = _count(client, "SELECT count() FROM audit.legal_holds")
    holds = list_holds(client)
    _tell_inserts(client, holds)
    covered, parameters = _covered(holds)
    # A mutation runs after those that were asked for before it, with what the table then says.
    wanted = f"({covered}) OR (on_hold AND (SELECT count() FROM audit.legal_holds) != %(version)s)"  # noqa: S608
    parameters["version"] = version
    differs = f"on_hold != ({wanted})"
    count = _count(client, f"SELECT count() FROM audit.events WHERE {differs}", parameters)  # noqa: S608
    if count:
        client.command(
            f"ALTER TABLE audit.events UPDATE on_hold = NOT on_hold WHERE {differs}",
            parameters=parameters,
            settings={"mutations_sync": 2, "allow_nondeterministic_mutations": 1},
        )
    return count


def _tell_inserts(client: Client, holds: Sequence[Hold]) -> None:
    """Let new events of the accounts that a hold names come in on hold, and of no others."""
    wanted = {hold.account for hold in holds if hold.account}
    rows = client.query("SELECT account FROM audit.holds FINAL WHERE held").result_rows
    there = {account for (account,) in rows}
    if changed := [[account, account in wanted] for account in sorted(wanted ^ there)]:
        client.insert("audit.holds", changed, column_names=["account", "held"])
    client.command("SYSTEM RELOAD DICTIONARY audit.hold_by_account")


def _covered(holds: Sequence[Hold]) -> tuple[str, dict[str, object]]:
    """Return the condition on a row that some hold covers it, and its parameters."""
    parameters: dict[str, object] = {}
    parts = []
    for n, hold in enumerate(holds):
        parts.append(" AND ".join(_conditions(n, hold, parameters)))
    return " OR ".join(f"({part})" for part in parts) or "false", parameters


def _conditions(n: int, hold: Hold, parameters: dict[str, object]) -> Iterator[str]:
    if hold.account:
        parameters[f"account{n}"] = hold.account
        yield f"account = %(account{n})s"
    for name, operator, moment in (("since", ">=", hold.since), ("until", "<", hold.until)):
        if moment is not None:
            parameters[f"{name}{n}"] = moment_parameter(moment)
            yield f"time {operator} toDateTime64(%({name}{n})s, 3, 'UTC')"
    if hold.user:
        parameters[f"user{n}"] = hold.user
        yield _NAMES.format(n=n)


def _count(client: Client, query: str, parameters: dict[str, object] | None = None) -> int:
    return int(client.query(query, parameters=parameters).result_rows[0][0])


def _holds(client: Client) -> History[Hold]:
    return History(client, "audit.legal_holds", Hold, "id", final=True)


def _recorded(what: str, hold: Hold, *, before: bool) -> Recorded:
    covers = {
        "account": hold.account,
        "user": hold.user,
        "since": hold.since.isoformat() if hold.since else "",
        "until": hold.until.isoformat() if hold.until else "",
    }
    return Recorded(
        what,
        {"type": "legal_hold", "id": hold.id},
        ({"field": "held", "before": before, "after": not before},),
        {"reason": hold.reason, "covers": {name: value for name, value in covers.items() if value}},
    )
