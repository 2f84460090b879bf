"""`/api/v1/holds`: what does not expire whatever its period. Administrators only."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel

from auditbus.console.query.connection import explained
from auditbus.console.retention import Hold, hold_history, list_holds, release_hold, set_hold
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Text
from auditbus.console.web.callers import AdministratorOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.retention_record import RecordOf
from auditbus.console.web.services import ServicesOf

__all__ = ["router"]

router = APIRouter(prefix="/holds", tags=["retention"], responses=REFUSALS)


class NewHold(Body):
    """What to hold: what all that is given covers together; at least one of them."""

    account: Text | None = None
    """Id of an account."""
    user: Text | None = None
    """Id of a user: as the actor, the one acted for, or a target."""
    since: AwareDatetime | None = None
    """Events that happened from then on."""
    until: AwareDatetime | None = None
    """Events that happened before then."""
    reason: Text
    """Why, for the record."""


class HoldAnswer(BaseModel):
    """A hold; `released_at` is null while it is in force."""

    id: str
    account: str
    user: str
    since: datetime | None
    until: datetime | None
    reason: str
    set_by: str
    set_at: datetime
    released_by: str | None
    released_at: datetime | None


class HoldsAnswer(BaseModel):
    """Holds, the oldest first."""

    holds: list[HoldAnswer]


@router.get("")
def holds(_: AdministratorOf, services: ServicesOf, released: bool = False) -> HoldsAnswer:
    """List the holds in force; with `released=true` also those that were released."""
    with explained(services.settings.clickhouse):
        found = hold_history(services.store) if released else list_holds(services.store)
    return HoldsAnswer(holds=[_answer(hold) for hold in found])


@router.post("", status_code=201)
def create_hold(
    asked: NewHold, administrator: AdministratorOf, services: ServicesOf, record: RecordOf
) -> HoldAnswer:
    """Hold stored and new events: none of them expires until the hold is released."""
    try:
        with explained(services.settings.clickhouse):
            hold = set_hold(
                services.store, account=asked.account or "", user=asked.user or "",
                since=asked.since, until=asked.until, reason=asked.reason,
                by=administrator.id, now=datetime.now(UTC), record=record,
            )  # fmt: skip
    except ValueError as error:
        raise Problem(422, str(error)) from None
    return _answer(hold)


@router.delete("/{id_}", status_code=204, responses=NOT_FOUND)
def delete_hold(
    id_: str, administrator: AdministratorOf, services: ServicesOf, record: RecordOf
) -> None:
    """Release a hold. Who set it, who released it, when and why stays on record."""
    with explained(services.settings.clickhouse):
        if release_hold(services.store, id_, by=administrator.id, record=record) is None:
            raise Problem(404, "There is no such hold.")


def _answer(hold: Hold) -> HoldAnswer:
    return HoldAnswer(
        id=hold.id,
        account=hold.account,
        user=hold.user,
        since=hold.since,
        until=hold.until,
        reason=hold.reason,
        set_by=hold.set_by,
        set_at=hold.set_at,
        released_by=hold.changed_by if hold.gone else None,
        released_at=hold.changed_at if hold.gone else None,
    )
