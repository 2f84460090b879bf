"""`/api/v1/events`: the log page by page, and one event by its id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from auditbus.console.access import Scope, visible
from auditbus.console.query import EventFilter, event_predicate
from auditbus.console.query.pages import Place, read_originals
from auditbus.console.web.api.answers import NOT_FOUND, READING, completeness_members
from auditbus.console.web.asking import Asking, PrincipalOf
from auditbus.console.web.completing import CompletenessOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["router", "selected"]

router = APIRouter(tags=["events"], responses=READING)
_MOST_FIELDS = 50
_Cursor = Annotated[str, Query(max_length=100, examples=["2026-11-22T10:00:00.000Z_0192…"])]
_Fields = Annotated[
    list[Annotated[str, Query(min_length=1, max_length=500)]],
    Query(
        max_length=_MOST_FIELDS,
        description="Only these members of each event: dotted paths, with commas or repeated.",
        examples=[["id,action,actor.email"]],
    ),
]


class EventsAnswer(BaseModel):
    """A page of the log, newest first."""

    events: list[dict[str, Any]]
    """Enriched events, as docs/events.md describes them."""
    older: str | None
    """Give it as `older_than` for the page below; null where nothing is."""
    newer: str | None
    """Give it as `newer_than` for the page above; null where nothing was seen to be."""
    complete_up_to: str | None
    """Every event that was received before is in the log; null where nobody knows."""
    incomplete_reason: str | None
    """Why nobody knows."""


@router.get("/events", response_model=EventsAnswer)
def events(
    asked: Asking,
    services: ServicesOf,
    completeness: CompletenessOf,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events of the page.")] = 50,
    older_than: _Cursor | None = None,
    newer_than: _Cursor | None = None,
    fields: _Fields = [],  # noqa: B006  # FastAPI copies it
) -> Response:
    """Return a page, newest first. Paging stays stable while events arrive."""
    if older_than and newer_than:
        raise Problem(400, "newer_than: give older_than or newer_than", field="newer_than")
    paths = _paths(fields)
    known = completeness.now()  # before the events are read, so that it holds for them
    page = read_originals(
        services.reader,
        asked.predicate,
        limit,
        older_than=_place("older_than", older_than),
        newer_than=_place("newer_than", newer_than),
    )
    rows: Iterable[bytes] = page.rows
    if paths:
        rows = (orjson.dumps(selected(orjson.loads(row), paths)) for row in rows)
    rest = {
        "older": page.older and str(page.older),
        "newer": page.newer and str(page.newer),
        **completeness_members(known),
    }
    # The events as they are stored: neither parsed nor written anew.
    body = b'{"events":[' + b",".join(rows) + b"]," + orjson.dumps(rest)[1:]
    return Response(body, media_type="application/json")


@router.get("/events/{id}", response_model=dict[str, Any], responses=NOT_FOUND)
def event(
    id_: Annotated[UUID, Path(alias="id", description="Event id.")],
    principal: PrincipalOf,
    services: ServicesOf,
    scope: Scope | None = None,
    fields: _Fields = [],  # noqa: B006  # FastAPI copies it
) -> Response:
    """Return one event. What may not be seen is not there: 404 for both."""
    paths = _paths(fields)
    wanted = event_predicate(EventFilter(ids=(id_,)))
    for looked_in in (scope,) if scope else principal.scopes:
        page = read_originals(services.reader, wanted & visible(principal, looked_in), 1)
        for row in page.rows:
            body = orjson.dumps(selected(orjson.loads(row), paths)) if paths else row
            return Response(body, media_type="application/json")
    raise Problem(404, "There is no such event, or you may not see it.")


def selected(event: dict[str, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return the members of `event` that `paths` lead to; what is not there is left out.

    A path goes into every element of a list.
    """
    found: dict[str, Any] = {}
    for path in paths:
        _take(event, path, found)
    return found


def _take(source: dict[str, Any], path: Sequence[str], found: dict[str, Any]) -> None:
    name, rest = path[0], path[1:]
    if name not in source:
        return
    value = source[name]
    if not rest:
        found[name] = value
    elif isinstance(value, dict):
        if found.get(name) is not value:  # taken whole already
            _take(value, rest, found.setdefault(name, {}))
    elif isinstance(value, list) and found.get(name) is not value:
        elements = [element for element in value if isinstance(element, dict)]
        taken = found.setdefault(name, [{} for _ in elements])
        for element, part in zip(elements, taken, strict=True):
            _take(element, rest, part)


def _paths(fields: list[str]) -> list[list[str]]:
    """Sorted by length, so that what is taken whole comes before its parts."""
    paths = [text.split(".") for field in fields for text in field.split(",")]
    if len(paths) > _MOST_FIELDS:
        raise Problem(400, f"fields: more than {_MOST_FIELDS}", field="fields")
    if not all(all(path) for path in paths):
        raise Problem(400, "fields: not dotted paths: use id,actor.email", field="fields")
    return sorted(paths, key=len)


def _place(field: str, text: str | None) -> Place | None:
    if text is None:
        return None
    try:
        return Place.parse(text)
    except ValueError as error:
        raise Problem(400, f"{field}: {error}", field=field) from None
