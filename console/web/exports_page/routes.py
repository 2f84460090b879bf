"""The page and its forms. Each form answers with the page, so that reloading does nothing twice."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from auditbus.console.export import Compression, Format
from auditbus.console.export.plan import plan_export
from auditbus.console.query.connection import explained
from auditbus.console.web.api.export_jobs import found_export, shown_export, submit_export
from auditbus.console.web.asking import Asked
from auditbus.console.web.callers import CallerOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.screen.chips import chips_of
from auditbus.console.web.screen.frame import Frame, FrameOf, templates
from auditbus.console.web.screen.ranges import range_label
from auditbus.console.web.screen.wanted import Refusal, wanted_of
from auditbus.console.web.services import Services, ServicesOf
from auditbus.console.web.sign_in.form import Form

__all__ = ["router"]

_MOST_CSV = Format.CSV.max_rows or 0
router = APIRouter(prefix="/exports", include_in_schema=False, default_response_class=HTMLResponse)


@router.get("")
def page(request: Request, frame: FrameOf, services: ServicesOf) -> Response:
    """Offer to export the view, and list one's exports."""
    try:
        return _page(request, frame, services)
    except Refusal:
        return RedirectResponse(frame.view.url(), 303)  # the log says what is wrong


@router.get("/own")
def own(request: Request, frame: FrameOf, services: ServicesOf) -> Response:
    """Return the list of one's exports alone, for a page that follows them."""
    return templates.TemplateResponse(request, "_own_exports.html", _own(frame, services))


@router.get("/csv")
def csv(frame: FrameOf, services: ServicesOf) -> Response:
    """Download the view as CSV, where a spreadsheet can hold it; else tell of that first."""
    try:
        fits = _matched(services, _asked(frame)) <= _MOST_CSV
    except Refusal:
        return RedirectResponse(frame.view.url(), 303)
    if fits:
        return RedirectResponse(f"/api/v1/events.csv?{frame.view.for_api()}", 303)
    return RedirectResponse(frame.view.url("/exports"), 303)


@router.post("")
def create(
    request: Request, frame: FrameOf, services: ServicesOf, caller: CallerOf, form: Form
) -> Response:
    """Begin an export of the view."""
    try:
        kind = Format(form.get("format", ""))
        compress = Compression(form.get("compress", ""))
    except ValueError:
        return _page(request, frame, services, 400, problem="Choose a format and a compression.")
    try:
        submit_export(services, _asked(frame), caller, kind, compress=compress)
    except Refusal:
        return RedirectResponse(frame.view.url(), 303)
    except Problem as problem:
        return _page(request, frame, services, problem.status, problem=problem.detail)
    return RedirectResponse(frame.view.url("/exports"), 303)


@router.post("/{export_id}/delete")
def delete(export_id: UUID, frame: FrameOf, services: ServicesOf) -> Response:
    """Delete one, also while it is written."""
    job, _ = found_export(services, export_id, frame.principal)
    services.exports.shelf.remove(job.id)
    return RedirectResponse(frame.view.url("/exports"), 303)


def _asked(frame: Frame) -> Asked:
    """Return what the view asks for. Raises Refusal."""
    wanted = wanted_of(frame.view, frame.principal, frame.clock.now)
    return Asked(frame.principal, wanted.scope, wanted.filter, wanted.seen)


def _matched(services: Services, asked: Asked) -> int:
    with explained(services.settings.clickhouse):
        return plan_export(services.store, asked.predicate).rows


def _page(
    request: Request, frame: Frame, services: Services, status: int = 200, *, problem: str = ""
) -> Response:
    asked = _asked(frame)
    context = _own(frame, services) | {
        "frame": frame,
        "matched": _matched(services, asked),
        "most_csv": _MOST_CSV,
        "range_label": range_label(frame.view, asked.filter, frame.clock),
        "filters": chips_of(frame.view, {}),
        "keep_hours": services.settings.console.exports_keep_hours,
        "problem": problem,
    }
    return templates.TemplateResponse(request, "exports.html", context, status)


def _own(frame: Frame, services: Services) -> dict[str, Any]:
    found = list(services.exports.of(frame.principal.id))
    return {
        "view": frame.view,
        "clock": frame.clock,
        "exports": [shown_export(services, *one) for one in reversed(found)],
    }
