"""The console's cookies. What they hold no script can read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from fastapi import Request, Response

from auditbus.console.access.secret import secret_hash
from auditbus.runtime.settings import ConsoleSettings

__all__ = ["Cookie", "Cookies"]


@dataclass(frozen=True, slots=True)
class Cookie:
    """One cookie of ours."""

    name: str
    secure: bool
    same_site: Literal["lax", "none"] = "lax"
    partitioned: bool = False

    def of(self, request: Request) -> str | None:
        """Return its value; None where the request brings none."""
        return request.cookies.get(self.name) or None

    def put(self, response: Response, value: str, max_age_s: int) -> None:
        """Let the browser keep it for `max_age_s` seconds."""
        attributes = [
            f"{self.name}={value}",
            f"Max-Age={max(0, max_age_s)}",
            "Path=/",
            "HttpOnly",
            f"SameSite={self.same_site.capitalize()}",
        ]
        if self.secure:
            attributes.append("Secure")
        if self.partitioned:
            attributes.append("Partitioned")
        response.headers.append("set-cookie", "; ".join(attributes))

    def clear(self, response: Response) -> None:
        """Let the browser forget it."""
        self.put(response, "", 0)


class Cookies:
    """Under https the names begin with `__Host-`: no other host and no subdomain can set them.

    Under http, which is for loopback, they end with the port: cookies know no ports, and there may
    be another console on this machine.
    """

    def __init__(self, settings: ConsoleSettings) -> None:
        """Take the names once."""
        url = urlsplit(settings.origin)
        self._secure = url.scheme == "https"
        self._prefix = "__Host-auditbus" if self._secure else f"auditbus-{url.port or 80}"
        self.session = Cookie(self._prefix, self._secure)
        # In a frame of another site browsers send a cookie only if it says SameSite=None, and keep
        # it only if it is partitioned (CHIPS). Both need https; a frame of the same site does not.
        self.viewer = Cookie(
            f"{self._prefix}-viewer",
            self._secure,
            "none" if self._secure else "lax",
            partitioned=self._secure,
        )

    def pending(self, state: str) -> Cookie:
        """Return the cookie of one sign-in that is under way at the provider."""
        # Its hash, as a state may be anything that somebody sends here.
        return Cookie(f"{self._prefix}-oidc-{secret_hash(state)[:8]}", self._secure)
