"""Who is asking? The first way of signing in that knows the request decides."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from fastapi import Request
from pydantic import SecretStr

from auditbus.console.access import Principal, Role
from auditbus.console.web.problems import Problem

__all__ = ["AdministratorToken", "Authenticator", "Gate", "NotSignedIn", "bearer_token"]


class NotSignedIn(Problem):
    """Nobody we know asks: 401, or the sign-in page for a browser that wants a page."""

    def __init__(self, detail: str) -> None:
        """Say what to do."""
        super().__init__(401, detail)


class Authenticator(Protocol):
    """One way of signing in."""

    def __call__(self, request: Request) -> Principal | None:
        """Return who asks; None where the request carries nothing of this way.

        Called in a worker thread, so it may block. Raises NotSignedIn where what it carries is
        wrong, expired or revoked.
        """


@dataclass(frozen=True, slots=True)
class Gate:
    """All ways of signing in, in order. Closed: who is not known is refused."""

    ways: Sequence[Authenticator]

    def principal(self, request: Request) -> Principal:
        """Return who asks. Raises NotSignedIn (401)."""
        for way in self.ways:
            if (principal := way(request)) is not None:
                return principal
        if bearer_token(request) is not None:
            raise NotSignedIn("The token is wrong, has expired or was revoked.")
        raise NotSignedIn("Sign in, or send `Authorization: Bearer TOKEN`.")


@dataclass(frozen=True, slots=True)
class AdministratorToken:
    """The first token, from the settings: with it, grants and other tokens are made."""

    token: SecretStr

    def __call__(self, request: Request) -> Principal | None:
        """Compare in constant time."""
        given = bearer_token(request)
        expected = self.token.get_secret_value()
        if given is None or not hmac.compare_digest(given.encode(), expected.encode()):
            return None
        return Principal("token:administrator", "Administrator", Role.ADMINISTRATOR)


def bearer_token(request: Request) -> str | None:
    """Return the token of the Authorization header (RFC 6750 §2.1); None where there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token.strip() else None
