"""Which stored events name a person: as the actor, as the one acted for, or as a target."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from auditbus.console.query.events import select
from auditbus.console.query.predicate import Predicate, moment_parameter

__all__ = ["Matched", "matched", "naming"]

# Of the event itself: the flat columns do not tell one target's id from another's name.
_AS_ACTOR = "JSONExtractString(event, 'actor', 'id') = {erased_user:String}"
_AS_PRINCIPAL = "JSONExtractString(event, 'actor', 'on_behalf_of', 'id') = {erased_user:String}"
_AS_TARGET = (
    "has(arrayMap(target -> JSONExtractString(target, 'id'),"
    " JSONExtractArrayRaw(event, 'targets')), {erased_user:String})"
)


@dataclass(frozen=True, slots=True)
class Matched:
    """What one account holds about the person.

    `as_actor` and `as_other` (acted for, or a target) count events; `held` those on legal hold.
    """

    account: str
    as_actor: int
    as_other: int
    held: int
    first: datetime
    last: datetime


def naming(user: str, account: str | None, until: datetime) -> Predicate:
    """Return the condition on a row that names `user` and happened until then."""
    named = Predicate(f"{_AS_ACTOR} OR {_AS_PRINCIPAL} OR {_AS_TARGET}", {"erased_user": user})
    happened = Predicate(
        "time <= {erased_until:DateTime64(3, 'UTC')}", {"erased_until": moment_parameter(until)}
    )
    if account is None:
        return happened & named
    return Predicate("account = {erased_in:String}", {"erased_in": account}) & happened & named


def matched(client: Client, user: str, account: str | None, until: datetime) -> list[Matched]:
    """Count what names the person, by account. Reads every event. Raises what the client raises."""
    rows = select(
        client,
        f"account, countIf({_AS_ACTOR}), countIf(NOT {_AS_ACTOR}), countIf(on_hold),"
        " min(time), max(time) FROM audit.log",
        naming(user, account, until),
        " GROUP BY account ORDER BY account",
    )
    return [Matched(*row) for row in rows]
