"""The JSON API, `/api/v1`: one module a resource, one line here."""

from __future__ import annotations

from fastapi import APIRouter, Depends

from auditbus.console.web.api import (
    actions,
    events,
    export_jobs,
    exports,
    grants,
    holds,
    organizations,
    principal,
    retention,
    stats,
    tail,
    tokens,
    viewer_keys,
)
from auditbus.console.web.limiting import limited
from auditbus.console.web.parameters import only_known_parameters

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", dependencies=[Depends(only_known_parameters)])
_ANSWERS = [Depends(limited)]
for resource in (
    exports,  # /events.csv and its like before /events/{id}
    events,
    export_jobs,
    stats,
    actions,
    grants,
    holds,
    organizations,
    principal,
    retention,
    tokens,
    viewer_keys,
):
    router.include_router(resource.router, dependencies=_ANSWERS)
router.include_router(tail.router)  # hours long, and counted apart
