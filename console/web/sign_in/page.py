"""The pages of signing in, and what follows a sign-in of any kind."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from fastapi import FastAPI, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.templating import Jinja2Templates

from auditbus.console.access import Principal
from auditbus.console.access.sign_ins import Opened
from auditbus.console.web.gate import NotSignedIn
from auditbus.console.web.problems import answer
from auditbus.console.web.services import Services
from auditbus.console.web.sign_in.ways import caller_of

__all__ = ["add_sign_in_page", "embed_page", "record_sign_in", "sign_in_page", "signed_in"]

_templates = Jinja2Templates(Path(__file__).parent / "templates")


def sign_in_page(
    request: Request,
    services: Services,
    target: str,
    problem: str | None = None,
    status: int = 200,
) -> Response:
    """Show the form, and what went wrong."""
    oidc = services.settings.console.oidc
    values = {
        "next": target,
        "problem": problem,
        "signed_out": "signed-out" in request.query_params,
        "provider": oidc.name if oidc.issuer else None,
        "begin": f"/sign-in/oidc?{urlencode({'next': target})}",
    }
    return _templates.TemplateResponse(request, "sign_in.html", values, status_code=status)


def embed_page(
    request: Request, target: str = "/", problem: str | None = None, status: int = 200
) -> Response:
    """Show what an embedded screen begins with, or why there is none."""
    values = {"next": target, "problem": problem}
    return _templates.TemplateResponse(request, "embed.html", values, status_code=status)


def signed_in(
    request: Request, services: Services, opened: Opened, target: str, way: str
) -> Response:
    """Let the browser keep the session's cookie, and go to `target`."""
    access = services.access
    if value := access.cookies.session.of(request):
        access.sign_ins.close(value)  # the one before it is not left behind
    response = RedirectResponse(target, 303)
    access.cookies.viewer.clear(response)
    access.cookies.session.put(response, opened.cookie, opened.seconds_left)
    record_sign_in(request, services, opened.principal, way)
    return response


def record_sign_in(request: Request, services: Services, principal: Principal, way: str) -> None:
    """Let the log say who signed in."""
    services.recorder.record(
        "Login",
        f"Signed in to the audit log as {principal.role}",
        principal=principal,
        caller=caller_of(request),
        metadata={"way": way},
    )


def add_sign_in_page(app: FastAPI) -> None:
    """Send a browser that wants a page to the form; a program gets its 401."""

    @app.exception_handler(NotSignedIn)
    def _not_signed_in(request: Request, problem: NotSignedIn) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        if request.method != "GET" or not wants_page or request.url.path.startswith("/api/"):
            return answer(problem)
        if request.headers.get("sec-fetch-dest") == "iframe":
            expired = "This view has expired. Reload the page that shows it."
            return embed_page(request, problem=expired, status=401)
        path = request.url.path
        wanted = f"{path}?{request.url.query}" if request.url.query else path
        query = "" if wanted == "/" else f"?{urlencode({'next': wanted})}"
        return RedirectResponse(f"/sign-in{query}", 303)
