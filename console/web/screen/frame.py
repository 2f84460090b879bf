"""What every page of the screen has around its content: who looks, at what, when and where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Request
from fastapi.templating import Jinja2Templates

from auditbus.console.access import Principal, Scope
from auditbus.console.web.asking import PrincipalOf
from auditbus.console.web.screen.assets import asset_url
from auditbus.console.web.screen.clock import Clock, zone_of
from auditbus.console.web.screen.facets import TITLES
from auditbus.console.web.screen.ranges import Choice
from auditbus.console.web.screen.view import View
from auditbus.console.web.services import ServicesOf

__all__ = ["Frame", "FrameOf", "templates"]

ZONE_COOKIE, THEME_COOKIE = "auditbus_tz", "auditbus_theme"
_SCOPES = {
    Scope.MINE: "What I have done",
    Scope.ACCOUNTS: "My accounts",
    Scope.ORGANIZATION: "Everyone in my organization",
}

templates = Jinja2Templates(Path(__file__).parent / "templates")
templates.env.trim_blocks = templates.env.lstrip_blocks = True
templates.env.globals["asset_url"] = asset_url
templates.env.globals["titles"] = {
    **TITLES,
    "since": "From",
    "until": "To",
    "text": "Search",
    "older_than": "This page",
    "newer_than": "This page",
}


@dataclass(frozen=True, slots=True)
class Frame:
    """`messages` says what of the view is not understood, by parameter."""

    principal: Principal
    view: View
    clock: Clock
    theme: str
    asked_as: str
    may_sign_out: bool
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_canonical(self) -> bool:
        """Whether it was asked for by the one URL that a view has."""
        return self.asked_as == self.view.query

    def scope_choices(self, current: Scope | None) -> list[Choice]:
        """Return the scopes that are offered, the narrowest first."""
        return [
            Choice(_SCOPES[scope], self.view.but(scope=scope).url(), scope is current)
            for scope in _SCOPES
            if scope in self.principal.scopes
        ]


def _frame_of(request: Request, principal: PrincipalOf, services: ServicesOf) -> Frame:
    view = View.of(request.query_params.multi_items())
    messages = {}
    try:
        zone = zone_of(view.one("tz") or request.cookies.get(ZONE_COOKIE) or "UTC")
    except ValueError as error:
        zone = zone_of("UTC")
        if view.one("tz"):
            messages["tz"] = str(error)
    clock = Clock(datetime.now(UTC), zone)
    bounds = {
        name: clock.from_field(view.one(name)) for name in ("since", "until") if view.one(name)
    }
    if any(view.one(name) != value for name, value in bounds.items()):
        view = view.but(**bounds)
    theme = request.cookies.get(THEME_COOKIE, "")
    return Frame(
        principal,
        view,
        clock,
        theme if theme in {"light", "dark"} else "",
        request.url.query,
        services.access.cookies.session.of(request) is not None,
        messages,
    )


FrameOf = Annotated[Frame, Depends(_frame_of)]
"""Annotate a handler's parameter with it."""
