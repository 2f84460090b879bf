"""From the view of a URL and the one who asks to what the store is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from auditbus.console.access import Principal, Scope, visible
from auditbus.console.query import EventFilter, Predicate, event_predicate
from auditbus.console.query.pages import Place
from auditbus.console.web.problems import Problem
from auditbus.console.web.screen.view import View

__all__ = ["Refusal", "Wanted", "wanted_of"]

_FIELDS_OF_FACETS = {
    "account": "accounts",
    "user": "users",
    "action": "actions",
    "category": "categories",
    "outcome": "outcomes",
    "country": "countries",
    "device": "devices",
}


class Refusal(Exception):
    """Something that was asked for is not understood; `messages` by the parameter's name."""

    def __init__(self, messages: Mapping[str, str]) -> None:
        """Remember what to say beside each field."""
        super().__init__(", ".join(messages))
        self.messages = messages


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to show: `filter` narrows what may be seen in `scope`."""

    scope: Scope | None
    filter: EventFilter
    older_than: Place | None = None
    newer_than: Place | None = None
    seen: Predicate = field(default_factory=lambda: Predicate("false"))

    @property
    def predicate(self) -> Predicate:
        """What was asked for, of what may be seen."""
        return event_predicate(self.filter) & self.seen

    def is_chosen(self, facet: str) -> bool:
        """Return whether the filter of `facet` is set."""
        return bool(getattr(self.filter, _FIELDS_OF_FACETS[facet]))

    def besides(self, facet: str) -> Predicate:
        """Return the same without the filter of `facet`: its other values can be chosen too."""
        wider: dict[str, Any] = {_FIELDS_OF_FACETS[facet]: ()}
        return event_predicate(replace(self.filter, **wider)) & self.seen


def wanted_of(view: View, principal: Principal, now: datetime) -> Wanted:
    """Raise Refusal where the view holds what is not understood."""
    try:
        query = view.filter_query()
        wanted = query.event_filter(now)
    except ValidationError as error:
        raise Refusal({str(item["loc"][0]): item["msg"] for item in error.errors()}) from None
    except Problem as problem:
        name = problem.field or ""
        raise Refusal({name: problem.detail.removeprefix(f"{name}: ")}) from None
    if wanted.since and wanted.until and wanted.since >= wanted.until:
        raise Refusal({"since": "the range ends before it begins"})
    scope = query.scope or next(iter(principal.scopes), None)
    seen = visible(principal, scope) if scope else Predicate("false")
    return Wanted(scope, wanted, _place(view, "older_than"), _place(view, "newer_than"), seen)


def _place(view: View, name: str) -> Place | None:
    try:
        return Place.parse(view.one(name)) if view.one(name) else None
    except ValueError as error:
        raise Refusal({name: str(error)}) from None
