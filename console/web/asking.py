"""Who asks and for what: read from the request in one place, for the API and the screen alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from auditbus.console.access import Principal, Scope, visible
from auditbus.console.query import EventFilter, event_predicate, parse_addresses
from auditbus.console.query.moments import parse_since, parse_until
from auditbus.console.query.predicate import Predicate
from auditbus.console.query.words import parse_words
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["Asked", "Asking", "FilterQuery", "PrincipalOf"]

_Value = TypeVar("_Value")
_Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
_MOST_VALUES = 100


def _principal_of(request: Request, services: ServicesOf) -> Principal:
    return services.gate.principal(request)


PrincipalOf = Annotated[Principal, Depends(_principal_of)]
"""Annotate a handler's parameter with it: who is not signed in gets 401."""


def _any_of(description: str) -> list[_Text]:
    """Return the default of a filter that may be given several times."""
    found: list[_Text] = Field([], max_length=_MOST_VALUES, description=description)
    return found


class FilterQuery(BaseModel):
    """The filters of the log, as query parameters. Repeated ones mean any of the values."""

    model_config = ConfigDict(extra="ignore")

    scope: Scope | None = Field(
        None, description="Which of what may be seen; the widest that is offered by default."
    )
    account: list[_Text] = _any_of("Account id.")
    user: list[_Text] = _any_of("Actor's id, name or e-mail address.")
    action: list[_Text] = _any_of("Action, such as `StorageDeleted`.")
    category: list[_Text] = _any_of("Category, such as `storage`.")
    outcome: list[Literal["success", "failure", "unknown"]] = Field(
        [], max_length=_MOST_VALUES, description="How it ended."
    )
    ip: list[_Text] = _any_of("Address or CIDR network, IPv4 or IPv6: `81.2.69.0/24`.")
    country: list[_Text] = _any_of("Country's code or name: `DE`, `Germany`.")
    device: list[_Text] = _any_of("Part of the device's label or type: `chrome`.")
    error: list[_Text] = _any_of("Error's code, or a part of its message.")
    target: list[_Text] = _any_of("Id, name or type of a target.")
    id: list[UUID] = Field([], max_length=_MOST_VALUES, description="Event id.")
    since: _Text | None = Field(
        None, description="From then on: `2h`, `7d`, `2026-11-22`, `2026-11-22T10:00:00Z`."
    )
    until: _Text | None = Field(None, description="Before then; a date counts as a whole.")
    text: _Text | None = Field(
        None,
        description='Words, `"a phrase"`, `begin*`, an address, a network, an id. '
        "All must be found; case does not matter.",
    )

    def event_filter(self, now: datetime) -> EventFilter:
        """Raise Problem naming the parameter that is wrong."""
        if self.text:
            _parsed("text", parse_words, self.text)
        return EventFilter(
            accounts=tuple(self.account),
            users=tuple(self.user),
            actions=tuple(self.action),
            categories=tuple(self.category),
            outcomes=tuple(self.outcome),
            addresses=tuple(_parsed("ip", parse_addresses, text) for text in self.ip),
            countries=tuple(self.country),
            devices=tuple(self.device),
            errors=tuple(self.error),
            targets=tuple(self.target),
            since=_moment("since", partial(parse_since, now=now), self.since),
            until=_moment("until", partial(parse_until, now=now), self.until),
            text=self.text or None,
            ids=tuple(self.id),
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
    """What was asked for, by whom; `seen` holds for what may be seen in the scope."""

    principal: Principal
    scope: Scope | None
    filter: EventFilter
    seen: Predicate

    @property
    def predicate(self) -> Predicate:
        """Holds for what was wanted and may be seen."""
        return event_predicate(self.filter) & self.seen

    @property
    def row_predicate(self) -> Predicate:
        """The same, to judge single rows by."""
        return event_predicate(self.filter, of_row=True) & self.seen

    def besides(self, field: str) -> Predicate:
        """Return `predicate` without the filter that is called `field` in EventFilter."""
        nothing: dict[str, Any] = {field: ()}
        return event_predicate(replace(self.filter, **nothing)) & self.seen


def _asking(principal: PrincipalOf, query: Annotated[FilterQuery, Query()]) -> Asked:
    scope = query.scope or next(iter(principal.scopes), None)
    wanted = query.event_filter(datetime.now(UTC))
    if wanted.since and wanted.until and wanted.until <= wanted.since:
        raise Problem(400, "until: not after since", field="until")
    seen = visible(principal, scope) if scope else Predicate("false")
    return Asked(principal, scope, wanted, seen)


Asking = Annotated[Asked, Depends(_asking)]
"""Annotate a handler's parameter with it; the one way to a predicate."""
