"""The ways of signing in, as the gate asks for them."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import Request

from auditbus.console.access import Attempts, Caller, Principal, Refusals, SignIns, ViewerTokens
from auditbus.console.access.secret import secret_hash
from auditbus.console.access.sign_in_errors import SignInRefused
from auditbus.console.web.gate import NotSignedIn, bearer_token
from auditbus.console.web.problems import Problem
from auditbus.console.web.sign_in.cookies import Cookie

__all__ = ["BearerToken", "Credentials", "SessionCookie", "ViewerCookie", "caller_of"]

_WRONG = "The token is wrong, has expired or was revoked."


def caller_of(request: Request) -> Caller:
    """Return the address, behind proxies that are trusted, and what the client calls itself."""
    ip = request.client.host if request.client else ""
    return Caller(ip, request.headers.get("user-agent", ""))


@dataclass(frozen=True, slots=True)
class Credentials:
    """Judges what is presented; counts failures, and lets an address with too many wait."""

    sign_ins: SignIns
    viewer_tokens: ViewerTokens
    attempts: Attempts
    refusals: Refusals

    def check_pace(self, caller: Caller) -> None:
        """Raise Problem (429) where the caller has failed too often."""
        if wait_s := self.attempts.wait_s(caller.ip):
            raise Problem(
                429,
                "Too many failed sign-ins from this address: wait a minute.",
                headers={"Retry-After": str(int(wait_s) + 1)},
            )

    def refuse(self, caller: Caller, reason: str) -> None:
        """Count a failure."""
        self.attempts.failed(caller.ip)
        self.refusals.count(reason, None, caller)

    def principal(self, token: str, caller: Caller) -> Principal:
        """Return whose token this is, of any kind. Raises NotSignedIn, or Problem (429)."""
        hashed = secret_hash(token)
        if not self.attempts.was_good(hashed):
            self.check_pace(caller)
        if token.count(".") == 2:  # noqa: PLR2004 -- the three parts of a JSON Web Token
            try:
                principal = self.viewer_tokens.judge(token).principal
            except SignInRefused as refused:
                self.refuse(caller, refused.reason)
                raise NotSignedIn(str(refused)) from None
        elif (found := self.sign_ins.by_secret(token)) is not None:
            principal = found
        else:
            self.refuse(caller, _WRONG)
            raise NotSignedIn(_WRONG)
        self.attempts.succeeded(hashed)
        return principal


@dataclass(frozen=True, slots=True)
class BearerToken:
    """A token in the Authorization header."""

    credentials: Credentials

    def __call__(self, request: Request) -> Principal | None:
        """Return whose token it is. A wrong one is refused, whatever cookie comes with it."""
        token = bearer_token(request)
        return None if token is None else self.credentials.principal(token, caller_of(request))


@dataclass(frozen=True, slots=True)
class ViewerCookie:
    """The viewer token that an embedded screen was opened with."""

    viewer_tokens: ViewerTokens
    cookie: Cookie

    def __call__(self, request: Request) -> Principal | None:
        """Return whom it speaks for; None where it has expired."""
        if (value := self.cookie.of(request)) is None:
            return None
        try:
            return self.viewer_tokens.judge(value).principal
        except SignInRefused:
            return None


@dataclass(frozen=True, slots=True)
class SessionCookie:
    """The cookie of a person who has signed in."""

    sign_ins: SignIns
    cookie: Cookie

    def __call__(self, request: Request) -> Principal | None:
        """Return whose session it is; None where it has ended: sign in again."""
        value = self.cookie.of(request)
        return self.sign_ins.by_cookie(value) if value else None
