"""`/embed`: the screen within another product, opened with a viewer token.

The product sets a frame's address to `/embed#token=TOKEN`. The fragment reaches no server; the
page's script posts it, and the answer keeps it in a cookie that scripts can't read. The screen is
made of pages and links, which carry no header: only a cookie signs them in. In a frame of another
site browsers keep none but a partitioned one (CHIPS), which belongs to this product's pages alone.
"""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from auditbus.console.access.sign_in_errors import SignInRefused
from auditbus.console.web.services import ServicesOf
from auditbus.console.web.sign_in.form import Form
from auditbus.console.web.sign_in.page import embed_page, record_sign_in
from auditbus.console.web.sign_in.targets import local_target
from auditbus.console.web.sign_in.ways import caller_of

__all__ = ["router"]

router = APIRouter()


@router.get("/embed")
def embed(request: Request, next: str | None = None) -> Response:  # noqa: A002
    """Show the page whose script posts the token."""
    return embed_page(request, local_target(next))


@router.post("/embed")
def open_embedded(request: Request, services: ServicesOf, form: Form) -> Response:
    """Exchange a viewer token for the cookie of this frame."""
    access, caller = services.access, caller_of(request)
    access.credentials.check_pace(caller)
    target, token = local_target(form.get("next")), form.get("token", "").strip()
    try:
        viewer = access.viewer_tokens.judge(token)
    except SignInRefused as refused:
        access.credentials.refuse(caller, refused.reason)
        return embed_page(request, target, str(refused), 401)
    response = RedirectResponse(target, 303)
    access.cookies.viewer.put(response, token, viewer.seconds_left)
    record_sign_in(request, services, viewer.principal, "viewer token")
    return response
