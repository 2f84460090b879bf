"""The JSON API, `/api/v1`: one module a resource, one line here."""

from __future__ import annotations

from fastapi import APIRouter

from auditbus.console.web.api import (
    events,
    export_jobs,
    exports,
    grants,
    organizations,
    principal,
    tokens,
    viewer_keys,
)

__all__ = ["router"]

router = APIRouter(prefix="/api/v1")
for resource in (
    events,
    export_jobs,
    exports,
    grants,
    organizations,
    principal,
    tokens,
    viewer_keys,
):
    router.include_router(resource.router)
