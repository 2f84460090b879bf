"""The application: routes, errors, and the headers that every answer carries."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware.base import RequestResponseEndpoint

from auditbus import __version__
from auditbus.console.web import api, screen
from auditbus.console.web.problems import add_problem_handlers
from auditbus.console.web.services import Services, ServicesOf

__all__ = ["create_app"]

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(services: Services) -> FastAPI:
    """Return the application that serves with `services`."""
    app = FastAPI(
        title="auditbus", version=__version__, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.services = services
    add_problem_handlers(app)
    app.include_router(api.router)
    app.include_router(screen.router)

    @app.middleware("http")
    async def headers(request: Request, call_next: RequestResponseEndpoint) -> Response:
        response = await call_next(request)
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response

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
