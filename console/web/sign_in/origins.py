"""Which hosts the console answers to, and which pages may change something in it.

A name that an attacker points to a loopback or private address (DNS rebinding) is not among the
hosts; an address is no name, so those are all allowed. A request that changes something and could
have been sent by a browser on behalf of another page must come from one of our own.
"""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from auditbus.runtime.settings import ConsoleSettings

__all__ = ["Hosts"]


class Hosts:
    """The hosts of the settings, addresses, and localhost."""

    def __init__(self, settings: ConsoleSettings) -> None:
        """Take the names once."""
        named = (*settings.allowed_hosts, urlsplit(settings.origin).hostname or "")
        self._origin = settings.origin.lower()
        self._names = frozenset(name.lower().rstrip(".") for name in named) | {"localhost"}

    def __contains__(self, host: str) -> bool:
        """Whether `host`, the value of a Host header, is one of ours."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
            _ = urlsplit(f"//{host}").port
        except ValueError:
            return False
        if any(sign in host for sign in "/?#@\\ \t"):
            return False
        return name.rstrip(".") in self._names or _is_address(name)

    def is_our_page(self, request: HTTPConnection) -> bool:
        """Whether no page of another origin can have sent the request; its host is one of ours.

        Browsers send Origin with every POST, PUT, PATCH and DELETE (Fetch standard, §3.2), and
        Sec-Fetch-Site; a client that sends neither is no browser.
        """
        origin = request.headers.get("origin")
        if origin is not None:
            here = f"{request.url.scheme}://{request.headers.get('host', '')}"
            return origin.lower() in {self._origin, here.lower()}
        return request.headers.get("sec-fetch-site", "same-origin") in {"same-origin", "none"}


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
