"""What the request handlers work with: built once, at the start, handed to every handler."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, cast

from clickhouse_connect.driver.client import Client
from fastapi import Depends, Request

from auditbus.console.web.gate import Gate
from auditbus.runtime.settings import Settings

__all__ = ["Services", "ServicesOf"]


@dataclass(frozen=True, slots=True)
class Services:
    """`store` is safe for many threads at once."""

    settings: Settings
    store: Client
    gate: Gate


def _services_of(request: Request) -> Services:
    return cast("Services", request.app.state.services)


ServicesOf = Annotated[Services, Depends(_services_of)]
"""Annotate a handler's parameter with it."""
