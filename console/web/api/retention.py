"""`/api/v1/retention`: how long what is kept. Administrators only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from auditbus.console.query.connection import explained
from auditbus.console.retention import (
    DEFAULT_DAYS,
    MAX_DAYS,
    MIN_DAYS,
    NotConfirmed,
    Step,
    cancel_change,
    change_period,
    days_of,
    forecast,
    going,
    list_retention,
    waiting_changes,
)
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Text
from auditbus.console.web.callers import AdministratorOf
from auditbus.console.web.problems import PROBLEM_JSON, Problem
from auditbus.console.web.retention_record import RecordOf
from auditbus.console.web.services import Services, ServicesOf

__all__ = ["router"]

router = APIRouter(tags=["retention"], responses=REFUSALS)
_Days = Annotated[int, Field(ge=MIN_DAYS, le=MAX_DAYS)]
_CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"description": "More events would go than was confirmed", "content": {PROBLEM_JSON: {}}}
}


class PeriodAnswer(BaseModel):
    """An account's own period."""

    account: str
    days: int
    changed_at: datetime


class WaitingAnswer(BaseModel):
    """A shorter period that takes effect at `due_at`."""

    account: str
    days: int
    days_before: int
    asked_by: str
    asked_at: datetime
    due_at: datetime


class RetentionAnswer(BaseModel):
    """All periods; an account that is not listed has `default_days`."""

    default_days: int
    grace_hours: float
    accounts: list[PeriodAnswer]
    waiting: list[WaitingAnswer]


class NewPeriod(Body):
    """How long an account's events are kept."""

    account: Text
    """Id of the account."""
    days: _Days
    """Days from their receipt."""
    confirm: Annotated[int, Field(ge=0)] = 0
    """Where that is shorter: the most events that may go, as `/retention/preview` counts them."""


class PreviewAnswer(BaseModel):
    """What a period would delete, beyond what goes anyway, when it takes effect at `at`."""

    account: str
    days_before: int
    days: int
    at: datetime
    events: int
    bytes: int


class ExpiringAnswer(BaseModel):
    """What expires of one account in the day or week that begins at `start`."""

    account: str
    start: datetime
    events: int
    bytes: int


class ForecastAnswer(BaseModel):
    """What expires; what is on hold does not. Bytes are those of the events' text."""

    expiring: list[ExpiringAnswer]


@router.get("/retention")
def retention(_: AdministratorOf, services: ServicesOf) -> RetentionAnswer:
    """List the accounts with a period of their own, and the shorter ones that wait."""
    with explained(services.settings.clickhouse):
        periods, waiting = list_retention(services.store), waiting_changes(services.store)
    return RetentionAnswer(
        default_days=DEFAULT_DAYS,
        grace_hours=services.settings.console.retention_grace_hours,
        accounts=[
            PeriodAnswer(account=item.account, days=item.days, changed_at=item.changed_at)
            for item in periods
        ],
        waiting=[
            WaitingAnswer(
                account=item.account,
                days=item.days,
                days_before=item.days_before,
                asked_by=item.changed_by,
                asked_at=item.asked_at,
                due_at=item.due_at,
            )
            for item in waiting
        ],
    )


@router.get("/retention/preview")
def preview(
    _: AdministratorOf,
    services: ServicesOf,
    account: Annotated[str, Query(min_length=1, max_length=255)],
    days: Annotated[int, Query(ge=MIN_DAYS, le=MAX_DAYS)],
) -> PreviewAnswer:
    """Count what a period would delete. Nothing is changed."""
    with explained(services.settings.clickhouse):
        before = days_of(services.store, account)
        at = datetime.now(UTC) + (_grace(services) if days < before else timedelta(0))
        found = going(services.store, account, days, at)
    return PreviewAnswer(
        account=account, days_before=before, days=days, at=at,
        events=found.events, bytes=found.bytes,
    )  # fmt: skip


@router.get("/retention/forecast")
def forecast_(
    _: AdministratorOf,
    services: ServicesOf,
    days: Annotated[int, Query(ge=1, le=3660)] = 30,
    by: Step = "day",
    account: str | None = None,
) -> ForecastAnswer:
    """Count what expires in the coming days, by account and by day or week (UTC)."""
    until = datetime.now(UTC) + timedelta(days=days)
    with explained(services.settings.clickhouse):
        found = forecast(services.store, until, by, account)
    return ForecastAnswer(
        expiring=[
            ExpiringAnswer(
                account=item.account, start=item.start, events=item.events, bytes=item.bytes
            )
            for item in found
        ]
    )


@router.post("/retention", responses=_CONFLICT)
def set_period(
    asked: NewPeriod, administrator: AdministratorOf, services: ServicesOf, record: RecordOf
) -> PreviewAnswer:
    """Set an account's period: a longer one at once, a shorter one after the grace period.

    A change of the account that waits is replaced.
    """
    now = datetime.now(UTC)
    try:
        with explained(services.settings.clickhouse):
            done = change_period(
                services.store, asked.account, asked.days, by=administrator.id, now=now,
                grace=_grace(services), record=record, confirmed=asked.confirm,
            )  # fmt: skip
    except NotConfirmed as error:
        raise Problem(409, str(error), field="confirm") from None
    return PreviewAnswer(
        account=done.account, days_before=done.days_before, days=done.days,
        at=done.due_at or now, events=done.going.events, bytes=done.going.bytes,
    )  # fmt: skip


@router.delete("/retention/waiting/{account:path}", status_code=204, responses=NOT_FOUND)
def cancel_waiting(
    account: Annotated[str, Path(min_length=1)],
    administrator: AdministratorOf,
    services: ServicesOf,
    record: RecordOf,
) -> None:
    """Take back a shorter period that has not taken effect yet."""
    with explained(services.settings.clickhouse):
        if not cancel_change(services.store, account, by=administrator.id, record=record):
            raise Problem(404, "No change of this account waits.")


def _grace(services: Services) -> timedelta:
    return timedelta(hours=services.settings.console.retention_grace_hours)
