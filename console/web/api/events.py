"""`/api/v1/events`: the log, page by page."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query

from auditbus.console.query.pages import Place, read_page
from auditbus.console.web.asking import Asking
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["router"]

router = APIRouter(prefix="/events", tags=["events"])


@router.get("")
def events(
    asked: Asking,
    services: ServicesOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 50,
    older_than: str | None = None,
    newer_than: str | None = None,
) -> dict[str, Any]:
    """Return a page, newest first; `older` and `newer` are the cursors to go on with."""
    if older_than and newer_than:
        raise Problem(400, "newer_than: give older_than or newer_than", field="newer_than")
    page = read_page(
        services.store,
        asked.predicate,
        limit,
        older_than=_place("older_than", older_than),
        newer_than=_place("newer_than", newer_than),
    )
    return {
        "events": [orjson.loads(row.event) for row in page.rows],
        "older": page.older and str(page.older),
        "newer": page.newer and str(page.newer),
    }


def _place(field: str, text: str | None) -> Place | None:
    if text is None:
        return None
    try:
        return Place.parse(text)
    except ValueError as error:
        raise Problem(400, f"{field}: {error}", field=field) from None
