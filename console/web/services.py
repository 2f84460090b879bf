"""What the request handlers work with: built once, at the start, handed to every handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Request

from auditbus.console.access import (
    Attempts,
    Recorder,
    Refusals,
    Register,
    SignIns,
    ViewerTokens,
)
from auditbus.console.access.recorder import UNRECORDED
from auditbus.console.export.jobs import ExportDesk
from auditbus.console.export.schedule import Scheduler
from auditbus.console.query.selection import BoundedReader
from auditbus.console.web.gate import Gate
from auditbus.console.web.sign_in.cookies import Cookies
from auditbus.console.web.sign_in.ways import BearerToken, Credentials, SessionCookie, ViewerCookie
from auditbus.runtime.settings import ConsoleSettings, Settings

if TYPE_CHECKING:
    from auditbus.console.access.openid import OpenIdConnect

__all__ = ["OIDC_CALLBACK", "Access", "Services", "ServicesOf"]

OIDC_CALLBACK = "/sign-in/oidc/callback"
"""Path of the address to register at the provider."""

_S_OF_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Access:
    """Granting access and signing in."""

    register: Register
    sign_ins: SignIns
    viewer_tokens: ViewerTokens
    credentials: Credentials
    refusals: Refusals
    cookies: Cookies
    provider: OpenIdConnect | None

    @classmethod
    def build(cls, console: ConsoleSettings, store: Client, recorder: Recorder) -> Access:
        """Join everything as the settings say. Asks nobody anything yet."""
        register = Register(store)
        token = console.administrator_token
        sign_ins = SignIns(
            register,
            token.get_secret_value() if token else None,
            console.session_hours * _S_OF_HOUR,
        )
        viewer_tokens = ViewerTokens(register, console.origin)
        refusals = Refusals(recorder)
        return cls(
            register,
            sign_ins,
            viewer_tokens,
            Credentials(sign_ins, viewer_tokens, Attempts(), refusals),
            refusals,
            Cookies(console),
            _provider(console) if console.oidc.issuer else None,
        )

    def gate(self) -> Gate:
        """Return the gate of all ways to sign in."""
        return Gate(
            (
                BearerToken(self.credentials),
                # A frame of the same site brings both cookies: the frame's own counts.
                ViewerCookie(self.viewer_tokens, self.cookies.viewer),
                SessionCookie(self.sign_ins, self.cookies.session),
            )
        )


@dataclass(frozen=True, slots=True)
class Services:
    """`store` is safe for many threads at once."""

    settings: Settings
    store: Client
    gate: Gate
    recorder: Recorder
    access: Access
    exports: ExportDesk
    schedule: Scheduler

    @property
    def reader(self) -> BoundedReader:
        """`store` for questions that people ask: a slow one is cut off."""
        console = self.settings.console
        memory_bytes = console.query_memory_mib * 1024 * 1024
        return BoundedReader(self.store, console.query_timeout_s, memory_bytes)

    @classmethod
    def build(
        cls,
        settings: Settings,
        store: Client,
        recorder: Recorder = UNRECORDED,
        *,
        gate: Gate | None = None,
    ) -> Services:
        """Join everything as the settings say; `gate` replaces the one of all ways to sign in.

        Raises SettingsError for a scheduled export that cannot be.
        """
        access = Access.build(settings.console, store, recorder)
        exports = ExportDesk(settings, store, recorder)
        schedule = Scheduler.of(settings, store, recorder)
        return cls(settings, store, gate or access.gate(), recorder, access, exports, schedule)


def _provider(console: ConsoleSettings) -> OpenIdConnect:
    from auditbus.console.access.openid import OpenIdConnect  # brings an HTTP client of its own

    return OpenIdConnect(console.oidc, f"{console.origin}{OIDC_CALLBACK}")


def _services_of(request: Request) -> Services:
    return cast("Services", request.app.state.services)


ServicesOf = Annotated[Services, Depends(_services_of)]
"""Annotate a handler's parameter with it."""
