"""The pages."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates

from auditbus.console.query.pages import read_page
from auditbus.console.web.asking import Asking
from auditbus.console.web.services import ServicesOf

__all__ = ["router"]

_ROWS = 50
_templates = Jinja2Templates(Path(__file__).parent / "templates")
router = APIRouter(include_in_schema=False, default_response_class=HTMLResponse)


@router.get("/")
def log(request: Request, asked: Asking, services: ServicesOf) -> HTMLResponse:
    """Show the log."""
    page = read_page(services.store, asked.predicate, _ROWS)
    return _templates.TemplateResponse(request, "log.html", {"asked": asked, "page": page})
