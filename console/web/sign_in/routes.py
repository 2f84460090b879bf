"""`/sign-in`, `/sign-out`: what a browser exchanges for a session cookie.

The link that `auditbus up` prints has the token in its fragment, which browsers send to no server
and write into no log of one; the page's script moves it into the form and sends that.
"""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, RedirectResponse

from auditbus.console.web.services import ServicesOf
from auditbus.console.web.sign_in import embed, oidc
from auditbus.console.web.sign_in.form import Form
from auditbus.console.web.sign_in.page import sign_in_page, signed_in
from auditbus.console.web.sign_in.targets import local_target
from auditbus.console.web.sign_in.ways import caller_of

__all__ = ["router"]

_FILES = Path(__file__).parent / "static"
router = APIRouter(include_in_schema=False)
router.include_router(oidc.router)
router.include_router(embed.router)


@router.get("/sign-in")
def sign_in(request: Request, services: ServicesOf, next: str | None = None) -> Response:  # noqa: A002
    """Show the form."""
    return sign_in_page(request, services, local_target(next))


@router.get("/sign-in/sign-in.js")
def script() -> FileResponse:
    """Return the page's script."""
    return FileResponse(_FILES / "sign-in.js", media_type="text/javascript")


@router.get("/sign-in/sign-in.css")
def style() -> FileResponse:
    """Return the page's style."""
    return FileResponse(_FILES / "sign-in.css", media_type="text/css")


@router.post("/sign-in")
def sign_in_by_token(request: Request, services: ServicesOf, form: Form) -> Response:
    """Exchange a token for a session."""
    credentials, caller = services.access.credentials, caller_of(request)
    credentials.check_pace(caller)
    target = local_target(form.get("next"))
    opened = services.access.sign_ins.open_by_secret(form.get("token", "").strip())
    if opened is None:
        problem = "This token is wrong, has expired or was revoked."
        credentials.refuse(caller, problem)
        return sign_in_page(request, services, target, problem, 401)
    return signed_in(request, services, opened, target, "token")


@router.post("/sign-out")
def sign_out(request: Request, services: ServicesOf) -> Response:
    """End the session for good, in every console process."""
    access = services.access
    value = access.cookies.session.of(request)
    principal = access.sign_ins.close(value) if value else None
    if principal is not None:
        services.recorder.record(
            "Logout",
            "Signed out of the audit log",
            principal=principal,
            caller=caller_of(request),
        )
    response = RedirectResponse("/sign-in?signed-out=1", 303)
    access.cookies.session.clear(response)
    access.cookies.viewer.clear(response)
    return response
