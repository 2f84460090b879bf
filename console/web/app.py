"""The application: what guards it, its routes and errors."""

from __future__ import annotations

from fastapi import FastAPI, Response
from fastapi.responses import PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from auditbus import __version__
from auditbus.console.web import api, screen
from auditbus.console.web.perimeter import Perimeter
from auditbus.console.web.problems import add_problem_handlers
from auditbus.console.web.services import Services, ServicesOf
from auditbus.console.web.sign_in import routes as sign_in

__all__ = ["create_app"]


def create_app(services: Services) -> FastAPI:
    """Return the application that serves with `services`."""
    app = FastAPI(
        title="auditbus", version=__version__, openapi_url="/openapi.json", docs_url=None,
        redoc_url=None,
    )  # fmt: skip
    app.state.services = services
    app.add_middleware(Perimeter, settings=services.settings.console)
    add_problem_handlers(app)
    sign_in.add_sign_in_page(app)
    app.include_router(api.router)
    app.include_router(sign_in.router)
    app.include_router(screen.router)

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
