"""The pages of the screen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from auditbus.console.access import visible
from auditbus.console.query import EventFilter, EventRow, event_predicate
from auditbus.console.query.connection import explained
from auditbus.console.query.events import EventLog
from auditbus.console.query.pages import read_page
from auditbus.console.web.screen import assets
from auditbus.console.web.screen.chart import chart_of
from auditbus.console.web.screen.chips import chips_of
from auditbus.console.web.screen.completeness import asker, known_soon
from auditbus.console.web.screen.counting import Count, Counter, Numbers
from auditbus.console.web.screen.detail import detail_of
from auditbus.console.web.screen.facets import facets_of
from auditbus.console.web.screen.frame import Frame, FrameOf, templates
from auditbus.console.web.screen.ranges import choices, range_label
from auditbus.console.web.screen.wanted import Refusal, Wanted, wanted_of
from auditbus.console.web.services import Services, ServicesOf
from auditbus.runtime.errors import ClickHouseUnreachable, StoreRefused

__all__ = ["router"]

_ROWS = 50
_counter = Counter()
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)
router.include_router(assets.router)


@router.get("/")
def log(request: Request, frame: FrameOf, services: ServicesOf) -> Response:
    """Show the log."""
    if not frame.is_canonical:
        return RedirectResponse(frame.view.url(), 303)
    context: dict[str, Any] = {"frame": frame, "view": frame.view, "clock": frame.clock}
    try:
        wanted = wanted_of(frame.view, frame.principal, frame.clock.now)
    except Refusal as refusal:
        context["messages"] = {**frame.messages, **refusal.messages}
        return _answer(request, "log.html", 400, _controls(frame, None) | context)
    context |= _controls(frame, wanted) | {"messages": frame.messages}
    if not frame.principal.scopes:
        return _answer(request, "log.html", 200, context)
    try:
        with explained(services.settings.clickhouse):
            asked = _counter.ask(asker(request))
            page = read_page(  # first, and with the store for itself
                services.store,
                wanted.predicate,
                _ROWS,
                older_than=wanted.older_than,
                newer_than=wanted.newer_than,
            )
            numbers = _counter.known(_key(frame))
            if numbers is None and frame.view.one("counts"):
                numbers = _begin(frame, services, wanted).numbers()
    except (ClickHouseUnreachable, StoreRefused) as error:
        context["failure"] = error
        return _answer(request, "log.html", 503, context)
    context |= {"page": page, "chips": chips_of(frame.view, _labels(page.rows, numbers))}
    context["complete"] = known_soon(asked)
    if numbers is not None:
        context |= _shown(frame, numbers)
    return _answer(request, "log.html", 200, context)


@router.get("/numbers")
def numbers(request: Request, frame: FrameOf, services: ServicesOf) -> Response:
    """Return the histogram and the facets alone, for a page that did not wait for them."""
    context: dict[str, Any] = {"frame": frame, "view": frame.view, "clock": frame.clock}
    try:
        wanted = wanted_of(frame.view, frame.principal, frame.clock.now)
        with explained(services.settings.clickhouse):
            found = _begin(frame, services, wanted).numbers()
    except Refusal as refusal:
        return _answer(request, "numbers.html", 400, context | {"messages": refusal.messages})
    except (ClickHouseUnreachable, StoreRefused) as error:
        return _answer(request, "numbers.html", 503, context | {"failure": error})
    shown = _shown(frame, found)
    context |= {"range_label": range_label(frame.view, wanted.filter, frame.clock)}
    return _answer(request, "numbers.html", 200, context | shown)


@router.get("/events/{id_}")
def event(request: Request, id_: str, frame: FrameOf, services: ServicesOf) -> Response:
    """Show one event on a page of its own."""
    return _event(request, id_, frame, services, "event.html")


@router.get("/events/{id_}/panel")
def panel(request: Request, id_: str, frame: FrameOf, services: ServicesOf) -> Response:
    """Return one event for the panel beside the table."""
    return _event(request, id_, frame, services, "panel.html")


def _event(request: Request, id_: str, frame: Frame, services: Services, template: str) -> Response:
    context: dict[str, Any] = {"frame": frame, "view": frame.view, "clock": frame.clock}
    context["messages"] = frame.messages
    try:
        with explained(services.settings.clickhouse):
            row = _find(services, frame, id_)
    except (ClickHouseUnreachable, StoreRefused) as error:
        return _answer(request, template, 503, context | {"failure": error})
    if row is None:
        return _answer(request, template, 404, context)
    detail = detail_of(row, frame.view, frame.clock)
    return _answer(request, template, 200, context | {"detail": detail})


def _find(services: Services, frame: Frame, id_: str) -> EventRow | None:
    """Look in every scope that is offered; what may not be seen is not there."""
    try:
        wanted = event_predicate(EventFilter(ids=(UUID(id_),)))
    except ValueError:
        return None
    for scope in frame.principal.scopes:
        seen = visible(frame.principal, scope)
        for row in EventLog(services.store).newest(wanted & seen, 1):
            return row
    return None


def _begin(frame: Frame, services: Services, wanted: Wanted) -> Count:
    return _counter.begin(_key(frame), services.store, wanted, frame.clock.now)


def _key(frame: Frame) -> object:
    return frame.principal, frame.view.but(tz=None, live=None, counts=None).query


def _controls(frame: Frame, wanted: Wanted | None) -> dict[str, Any]:
    filter_ = wanted.filter if wanted else None
    return {
        "scopes": frame.scope_choices(wanted.scope if wanted else None),
        "ranges": choices(frame.view),
        "range_label": range_label(frame.view, filter_, frame.clock),
        "bounds": filter_,
        "chips": chips_of(frame.view, {}),
    }


def _shown(frame: Frame, numbers: Numbers) -> dict[str, Any]:
    chart = chart_of(
        numbers.buckets, numbers.starts, numbers.step, numbers.since, frame.view, frame.clock
    )
    return {"chart": chart, "facets": facets_of(numbers.facets, frame.view)}


def _labels(rows: Sequence[EventRow], numbers: Numbers | None) -> dict[tuple[str, str], str]:
    """Names for what is filtered by id."""
    found: dict[tuple[str, str], str] = {}
    for row in rows:
        found["user", row.actor_id] = row.user
        found["account", row.account] = row.account_name or row.account
    for name, values in (numbers.facets if numbers else {}).items():
        found |= {(name, item.value): item.label or item.value for item in values}
    return found


def _answer(request: Request, template: str, status: int, context: dict[str, Any]) -> Response:
    return templates.TemplateResponse(request, template, context, status)
