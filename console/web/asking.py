"""Who asks and for what: read from the request in one place, for the API and the screen alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from auditbus.console.access import Principal, Scope, visible
from auditbus.console.query import EventFilter, event_predicate, parse_addresses
from auditbus.console.query.moments import parse_since, parse_until
from auditbus.console.query.predicate import Predicate
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["Asked", "Asking", "FilterQuery", "PrincipalOf"]

_Value = TypeVar("_Value")


def _principal_of(request: Request, services: ServicesOf) -> Principal:
    return services.gate.principal(request)


PrincipalOf = Annotated[Principal, Depends(_principal_of)]
"""Annotate a handler's parameter with it: who is not signed in gets 401."""


class FilterQuery(BaseModel):
    """The filters of the log, as query parameters. Repeated ones mean any of the values."""

    model_config = ConfigDict(extra="ignore")

    scope: Scope | None = None
    account: list[str] = []
    user: list[str] = []
    action: list[str] = []
    category: list[str] = []
    outcome: list[str] = []
    ip: list[str] = []
    country: list[str] = []
    device: list[str] = []
    since: str | None = None
    until: str | None = None
    text: str | None = None

    def event_filter(self, now: datetime) -> EventFilter:
        """Raise Problem naming the parameter that is wrong."""
        return EventFilter(
            accounts=tuple(self.account),
            users=tuple(self.user),
            actions=tuple(self.action),
            categories=tuple(self.category),
            outcomes=tuple(self.outcome),
            addresses=tuple(_parsed("ip", parse_addresses, text) for text in self.ip),
            countries=tuple(self.country),
            devices=tuple(self.device),
            since=_moment("since", partial(parse_since, now=now), self.since),
            until=_moment("until", partial(parse_until, now=now), self.until),
            text=self.text or None,
        )


def _parsed(field: str, parse: Callable[[str], _Value], text: str) -> _Value:
    try:
        return parse(text)
    except ValueError as error:
        raise Problem(400, f"{field}: {error}", field=field) from None


def _moment(field: str, parse: Callable[[str], datetime], text: str | None) -> datetime | None:
    return _parsed(field, parse, text) if text else None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, by whom. `predicate` holds for what was wanted and may be seen."""

    principal: Principal
    scope: Scope | None
    filter: EventFilter
    predicate: Predicate


def _asking(principal: PrincipalOf, query: Annotated[FilterQuery, Query()]) -> Asked:
    scope = query.scope or next(iter(principal.scopes), None)
    wanted = query.event_filter(datetime.now(UTC))
    seen = visible(principal, scope) if scope else Predicate("false")
    return Asked(principal, scope, wanted, event_predicate(wanted) & seen)


Asking = Annotated[Asked, Depends(_asking)]
"""Annotate a handler's parameter with it; the one way to a predicate."""
