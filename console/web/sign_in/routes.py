"""`/sign-in`, `/sign-out`: what a browser exchanges for a session cookie.

The link that `auditbus up` prints has the token in its fragment, which browsers send to no server
and write into no log of one; the page's script moves it into the form and sends that.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from fastapi.templating import Jinja2Templates

from auditbus.console.access.sign_ins import Opened
from auditbus.console.web.gate import NotSignedIn
from auditbus.console.web.problems import answer
from auditbus.console.web.services import Services, ServicesOf
from auditbus.console.web.sign_in.form import Form
from auditbus.console.web.sign_in.targets import local_target

__all__ = ["add_sign_in_page", "router"]

_HERE = Path(__file__).parent
_templates = Jinja2Templates(_HERE / "templates")
router = APIRouter(include_in_schema=False)


@router.get("/sign-in")
def sign_in(request: Request, next: str | None = None) -> HTMLResponse:  # noqa: A002
    """Show the form."""
    return _page(request, local_target(next))


@router.get("/sign-in/sign-in.js")
def script() -> FileResponse:
    """Return the page's script."""
    return FileResponse(_HERE / "static" / "sign-in.js", media_type="text/javascript")


@router.get("/sign-in/sign-in.css")
def style() -> FileResponse:
    """Return the page's style."""
    return FileResponse(_HERE / "static" / "sign-in.css", media_type="text/css")


@router.post("/sign-in")
def sign_in_by_token(request: Request, services: ServicesOf, form: Form) -> Response:
    """Exchange a token for a session."""
    target = local_target(form.get("next"))
    opened = services.access.sign_ins.open_by_secret(form.get("token", "").strip())
    if opened is None:
        return _page(request, target, "This token is wrong, has expired or was revoked.")
    return signed_in(request, services, opened, target)


@router.post("/sign-out")
def sign_out(request: Request, services: ServicesOf) -> Response:
    """End the session for good, in every console process."""
    cookies = services.access.cookies
    if value := cookies.session.of(request):
        services.access.sign_ins.close(value)
    response = RedirectResponse("/sign-in?signed-out=1", 303)
    cookies.session.clear(response)
    cookies.viewer.clear(response)
    return response


def signed_in(request: Request, services: Services, opened: Opened, target: str) -> Response:
    """Let the browser keep the session's cookie, and go to `target`."""
    access = services.access
    if value := access.cookies.session.of(request):
        access.sign_ins.close(value)  # the one before it is not left behind
    response = RedirectResponse(target, 303)
    access.cookies.viewer.clear(response)
    access.cookies.session.put(response, opened.cookie, opened.seconds_left)
    return response


def add_sign_in_page(app: FastAPI) -> None:
    """Send a browser that wants a page to the form; a program gets its 401."""

    @app.exception_handler(NotSignedIn)
    def _not_signed_in(request: Request, problem: NotSignedIn) -> Response:
        wants_page = "text/html" in request.headers.get("accept", "")
        if request.method != "GET" or not wants_page or request.url.path.startswith("/api/"):
            return answer(problem)
        path = request.url.path
        wanted = f"{path}?{request.url.query}" if request.url.query else path
        query = urlencode({"next": wanted}) if wanted != "/" else ""
        return RedirectResponse(f"/sign-in?{query}" if query else "/sign-in", 303)


def _page(request: Request, target: str, problem: str | None = None) -> HTMLResponse:
    return _templates.TemplateResponse(
        request,
        "sign_in.html",
        {
            "next": target,
            "problem": problem,
            "signed_out": "signed-out" in request.query_params,
            "provider": None,
        },
        status_code=401 if problem else 200,
    )
