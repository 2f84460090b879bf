"""What the request handlers work with: built once, at the start, handed to every handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Request

from auditbus.console.access import Recorder, Register, SignIns
from auditbus.console.web.gate import Gate
from auditbus.console.web.sign_in.cookies import Cookies
from auditbus.console.web.sign_in.ways import BearerToken, SessionCookie
from auditbus.runtime.settings import Settings

__all__ = ["Access", "Services", "ServicesOf"]

_S_OF_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Access:
    """Granting access and signing in."""

    register: Register
    sign_ins: SignIns
    cookies: Cookies


@dataclass(frozen=True, slots=True)
class Services:
    """`store` is safe for many threads at once."""

    settings: Settings
    store: Client
    gate: Gate
    recorder: Recorder
    access: Access

    @classmethod
    def build(cls, settings: Settings, store: Client, recorder: Recorder) -> Services:
        """Join everything as the settings say. Opens nothing."""
        console = settings.console
        register = Register(store)
        token = console.administrator_token
        sign_ins = SignIns(
            register,
            token.get_secret_value() if token else None,
            console.session_hours * _S_OF_HOUR,
        )
        cookies = Cookies(console)
        gate = Gate((BearerToken(sign_ins), SessionCookie(sign_ins, cookies.session)))
        return cls(settings, store, gate, recorder, Access(register, sign_ins, cookies))


def _services_of(request: Request) -> Services:
    return cast("Services", request.app.state.services)


ServicesOf = Annotated[Services, Depends(_services_of)]
"""Annotate a handler's parameter with it."""
