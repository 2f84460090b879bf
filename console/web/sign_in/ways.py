"""The ways of signing in, as the gate asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from auditbus.console.access import Principal, SignIns
from auditbus.console.web.gate import NotSignedIn, bearer_token
from auditbus.console.web.sign_in.cookies import Cookie

__all__ = ["BearerToken", "SessionCookie"]


@dataclass(frozen=True, slots=True)
class BearerToken:
    """An API token, or the administrator's, in the Authorization header."""

    sign_ins: SignIns

    def __call__(self, request: Request) -> Principal | None:
        """Return whose token it is. A wrong one is refused, whatever cookie comes with it."""
        secret = bearer_token(request)
        if secret is None:
            return None
        if (principal := self.sign_ins.by_secret(secret)) is None:
            raise NotSignedIn("The token is wrong, has expired or was revoked.")
        return principal


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie of a person who has signed in."""

    sign_ins: SignIns
    cookie: Cookie

    def __call__(self, request: Request) -> Principal | None:
        """Return whose session it is; None where it has ended: sign in again."""
        value = self.cookie.of(request)
        return self.sign_ins.by_cookie(value) if value else None
