"""`/sign-in/oidc`: to the provider and back.

What only this browser may know of a sign-in under way (state, nonce, PKCE verifier) is in a cookie
of its own, so several tabs can sign in at once, and any console process can finish it.
"""

from __future__ import annotations

import base64
import binascii

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from auditbus.console.access.claims import person_of
from auditbus.console.access.sign_in_errors import ProviderUnreachable, SignInRefused
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import OIDC_CALLBACK, Services, ServicesOf
from auditbus.console.web.sign_in.page import sign_in_page, signed_in
from auditbus.console.web.sign_in.targets import local_target
from auditbus.console.web.sign_in.ways import caller_of

__all__ = ["router"]

_PENDING_S = 10 * 60
_PARAMETERS = frozenset({"state", "code", "iss", "error"})
router = APIRouter()


@router.get("/sign-in/oidc")
def begin(request: Request, services: ServicesOf, next: str | None = None) -> Response:  # noqa: A002
    """Send the browser to the provider."""
    if (provider := services.access.provider) is None:
        raise Problem(404, "OpenID Connect is not set up here.")
    target = local_target(next)
    try:
        begun = provider.begin()
    except (ProviderUnreachable, SignInRefused) as error:
        return sign_in_page(request, services, target, str(error), 502)
    response = RedirectResponse(begun.url, 303)
    kept = orjson.dumps([begun.state, begun.nonce, begun.verifier, target])
    value = base64.urlsafe_b64encode(kept).decode().rstrip("=")
    services.access.cookies.pending(begun.state).put(response, value, _PENDING_S)
    return response


@router.get(OIDC_CALLBACK)
def finish(request: Request, services: ServicesOf) -> Response:
    """Take the provider's answer, and begin a session."""
    from auditbus.console.access.openid import Begun

    access, caller = services.access, caller_of(request)
    if access.provider is None:
        raise Problem(404, "OpenID Connect is not set up here.")
    access.credentials.check_pace(caller)
    target = "/"
    try:
        answer = _answer(request)
        state, nonce, verifier, target = _kept(request, services, answer.get("state", ""))
        claims = access.provider.finish(Begun("", state, nonce, verifier), answer)
        person = person_of(claims, services.settings.console.oidc)
    except SignInRefused as refused:
        access.credentials.refuse(caller, f"OpenID Connect: {refused.reason}")
        response = sign_in_page(request, services, target, str(refused), 401)
    except ProviderUnreachable as error:
        response = sign_in_page(request, services, target, str(error), 502)
    else:
        opened = access.sign_ins.open_person(person.subject, person.name, person.claimed)
        response = signed_in(request, services, opened, target, "oidc")
    if begun := request.query_params.get("state"):
        access.cookies.pending(begun).clear(response)  # each is good for one try
    return response


def _answer(request: Request) -> dict[str, str]:
    parameters = [item for item in request.query_params.multi_items() if item[0] in _PARAMETERS]
    if len(answer := dict(parameters)) != len(parameters):
        raise SignInRefused("The provider's answer can't be trusted. Start again.", "repeated")
    return answer


def _kept(request: Request, services: Services, state: str) -> tuple[str, str, str, str]:
    value = services.access.cookies.pending(state).of(request) or ""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
        state, nonce, verifier, target = map(str, parts)
    except (binascii.Error, ValueError, TypeError):
        raise SignInRefused("This sign-in was not begun here. Start again.", "state") from None
    return state, nonce, verifier, local_target(target)
