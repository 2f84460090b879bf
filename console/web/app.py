"""The application: what guards it, its routes and errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from auditbus import __version__
from auditbus.console.access import Refusals
from auditbus.console.query.completeness import CompletenessWatch
from auditbus.console.web import api, exports_page, retention_page, screen
from auditbus.console.web.limiting import Limits
from auditbus.console.web.live import Live
from auditbus.console.web.perimeter import Perimeter
from auditbus.console.web.problems import add_problem_handlers
from auditbus.console.web.services import Services, ServicesOf
from auditbus.console.web.sign_in.page import add_sign_in_page
from auditbus.console.web.sign_in.routes import router as sign_in_router
from auditbus.console.web.streams import StreamGuard

__all__ = ["create_app"]

_FLUSH_S = 5.0


def create_app(services: Services) -> FastAPI:
    """Return the application that serves with `services`."""

    @asynccontextmanager
    async def at_work(_: FastAPI) -> AsyncIterator[None]:
        refusals = services.access.refusals
        flushing = asyncio.create_task(_flush(refusals))
        services.exports.start()
        services.schedule.start()
        yield
        await asyncio.to_thread(services.schedule.stop)
        await asyncio.to_thread(services.exports.stop)
        flushing.cancel()
        refusals.flush(everything=True)

    app = FastAPI(
        title="auditbus", version=__version__, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None, lifespan=at_work,
    )  # fmt: skip
    app.state.services = services
    app.state.limits = Limits(services.settings.console)
    app.state.completeness = CompletenessWatch(services.settings.kafka)
    app.state.live = Live(services.store)
    app.add_middleware(StreamGuard, gate=services.gate)
    app.add_middleware(Perimeter, settings=services.settings.console)
    add_problem_handlers(app)
    add_sign_in_page(app)
    app.include_router(api.router)
    app.include_router(sign_in_router)
    app.include_router(screen.router)
    app.include_router(exports_page.router)
    app.include_router(retention_page.router)

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    def readyz(services: ServicesOf) -> PlainTextResponse:
        if services.store.ping():
            return PlainTextResponse("ok\n")
        return PlainTextResponse("the store does not answer\n", 503)

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


async def _flush(refusals: Refusals) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        refusals.flush()
