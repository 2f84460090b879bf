"""What will go when: counts of events and bytes. An event on hold never goes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import moment_parameter

__all__ = ["Expiring", "Going", "Step", "forecast", "going"]

Step = Literal["day", "week"]
# As the table's TTL counts.
_EXPIRES = "received_at + toIntervalDay(retention_days)"
_STARTS = {"day": "toStartOfDay", "week": "toMonday"}


@dataclass(frozen=True, slots=True)
class Going:
    """Events, and the bytes of their text; what they take on disk is about a tenth of that."""

    events: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Expiring:
    """What expires of one account in the day or week that begins at `start` (UTC).

    What is overdue, because ClickHouse has not merged it yet, counts in the step it was due in.
    """

    account: str
    start: datetime
    events: int
    bytes: int


def forecast(
    client: Client, until: datetime, step: Step = "day", account: str | None = None
) -> list[Expiring]:
    """Return what expires before `until`, by time and account. Raises what the client raises."""
    rows = client.query(
        f"SELECT account, toDateTime({_STARTS[step]}({_EXPIRES}), 'UTC') AS start,"  # noqa: S608
        " count(), sum(length(event)) FROM audit.log"
        f" WHERE NOT on_hold AND {_EXPIRES} < {{until:DateTime64(3, 'UTC')}}"
        " AND ({any:Bool} OR account = {account:String})"
        " GROUP BY account, start ORDER BY start, account",
        parameters={
            "until": moment_parameter(until),
            "any": account is None,
            "account": account or "",
        },
        tz_mode="aware",
    ).result_rows
    return [Expiring(*row) for row in rows]


def going(client: Client, account: str, days: int, at: datetime) -> Going:
    """Return what `days` for `account` would delete from `at` on, beyond what then goes anyway."""
    rows = client.query(
        "SELECT count(), sum(length(event)) FROM audit.log"  # noqa: S608 -- constant text
        " WHERE account = {account:String} AND NOT on_hold"
        " AND received_at + toIntervalDay({days:UInt16}) <= {at:DateTime64(3, 'UTC')}"
        f" AND {_EXPIRES} > {{at:DateTime64(3, 'UTC')}}",
        parameters={"account": account, "days": days, "at": moment_parameter(at)},
    ).result_rows
    return Going(*map(int, rows[0]))
