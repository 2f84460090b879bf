"""The page and its forms. Each form answers with the page, so that reloading does nothing twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from auditbus.console.query.connection import explained
from auditbus.console.retention import (
    DEFAULT_DAYS,
    NotConfirmed,
    cancel_change,
    change_period,
    days_of,
    forecast,
    going,
    hold_history,
    list_retention,
    release_hold,
    set_hold,
    waiting_changes,
)
from auditbus.console.web.callers import AdministratorOf
from auditbus.console.web.retention_page.fields import HoldFields, PeriodFields, WrongField
from auditbus.console.web.retention_record import RecordOf
from auditbus.console.web.screen.frame import Frame, FrameOf, templates
from auditbus.console.web.services import Services, ServicesOf
from auditbus.console.web.sign_in.form import Form

__all__ = ["router"]

_FORECAST_DAYS = 90
_MAX_FORECAST_ROWS = 500
router = APIRouter(
    prefix="/retention", include_in_schema=False, default_response_class=HTMLResponse
)


@router.get("")
def page(request: Request, _: AdministratorOf, frame: FrameOf, services: ServicesOf) -> Response:
    """Show how long what is kept."""
    return _page(request, frame, services)


@router.post("/period")
def set_period(
    request: Request,
    administrator: AdministratorOf,
    record: RecordOf,
    frame: FrameOf,
    services: ServicesOf,
    form: Form,
) -> Response:
    """Set a period; a shorter one is first shown with what would go, to be confirmed."""
    now, grace = datetime.now(UTC), services.settings.console.retention_grace_hours
    due = now + timedelta(hours=grace)
    try:
        asked = PeriodFields.of(form)
        with explained(services.settings.clickhouse):
            if asked.confirmed is None and asked.days < days_of(services.store, asked.account):
                would_go = going(services.store, asked.account, asked.days, due)
                confirming = {"asked": asked, "going": would_go, "due": due}
                return _page(request, frame, services, 200, confirming=confirming)
            change_period(
                services.store, asked.account, asked.days, by=administrator.id, now=now,
                grace=timedelta(hours=grace), record=record, confirmed=asked.confirmed or 0,
            )  # fmt: skip
    except NotConfirmed as error:
        confirming = {"asked": asked, "going": error.going, "due": error.at}
        return _page(request, frame, services, 409, confirming=confirming)
    except WrongField as error:
        return _page(request, frame, services, 400, problem=str(error))
    return RedirectResponse("/retention", 303)


@router.post("/cancel")
def cancel(
    administrator: AdministratorOf, record: RecordOf, services: ServicesOf, form: Form
) -> Response:
    """Take back a shorter period that waits; nothing where it does no more."""
    with explained(services.settings.clickhouse):
        account = form.get("account", "")
        cancel_change(services.store, account, by=administrator.id, record=record)
    return RedirectResponse("/retention", 303)


@router.post("/hold")
def hold(
    request: Request,
    administrator: AdministratorOf,
    record: RecordOf,
    frame: FrameOf,
    services: ServicesOf,
    form: Form,
) -> Response:
    """Set a legal hold."""
    try:
        asked = HoldFields.of(form)
        with explained(services.settings.clickhouse):
            set_hold(
                services.store, account=asked.account, user=asked.user, since=asked.since,
                until=asked.until, reason=asked.reason, by=administrator.id,
                now=datetime.now(UTC), record=record,
            )  # fmt: skip
    except ValueError as error:
        return _page(request, frame, services, 400, problem=f"Legal hold: {error}")
    return RedirectResponse("/retention", 303)


@router.post("/release")
def release(
    administrator: AdministratorOf, record: RecordOf, services: ServicesOf, form: Form
) -> Response:
    """Release a legal hold; nothing where it is released already."""
    with explained(services.settings.clickhouse):
        release_hold(services.store, form.get("id", ""), by=administrator.id, record=record)
    return RedirectResponse("/retention", 303)


def _page(
    request: Request,
    frame: Frame,
    services: Services,
    status: int = 200,
    *,
    problem: str = "",
    confirming: dict[str, Any] | None = None,
) -> Response:
    store = services.store
    until = datetime.now(UTC) + timedelta(days=_FORECAST_DAYS)
    with explained(services.settings.clickhouse):
        expiring = forecast(store, until, "week")
        context: dict[str, Any] = {
            "frame": frame,
            "view": frame.view,
            "clock": frame.clock,
            "default_days": DEFAULT_DAYS,
            "grace_hours": services.settings.console.retention_grace_hours,
            "periods": list_retention(store),
            "waiting": waiting_changes(store),
            "holds": hold_history(store),
            "expiring": expiring[:_MAX_FORECAST_ROWS],
            "expiring_left_off": max(0, len(expiring) - _MAX_FORECAST_ROWS),
            "forecast_days": _FORECAST_DAYS,
            "problem": problem,
            "confirming": confirming,
        }
    return templates.TemplateResponse(request, "retention.html", context, status)
