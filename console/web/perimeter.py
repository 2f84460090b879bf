"""What every request must pass, and what every answer carries; before any handler, for all alike.

Headers: OWASP Secure Headers; Content Security Policy Level 3. A page of ours runs no script and
shows no style but its own files, whatever an event holds.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auditbus.console.web.problems import Problem, answer
from auditbus.console.web.sign_in.origins import Hosts
from auditbus.runtime.settings import ConsoleSettings

__all__ = ["Perimeter"]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# Asked by address, by machines that say whatever they like as Host; these pages hold no secret.
_PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
_FILES = ("/static/", "/sign-in/sign-in.")
_MAX_BODY_BYTES = 1024 * 1024
_TOO_LARGE = "The body is larger than 1 MiB."


class Perimeter:
    """Refuses foreign hosts and foreign pages; adds the headers. Streams pass through."""

    def __init__(self, app: ASGIApp, settings: ConsoleSettings) -> None:
        """Build the headers once."""
        self._app = app
        self._hosts = Hosts(settings)
        self._headers = _headers(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if scope["path"].startswith(_FILES):
                    headers.setdefault("Cache-Control", "no-cache")  # kept, if it has not changed
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        taken = 0

        async def within_limit() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > _MAX_BODY_BYTES:  # and said no length, or a wrong one
                raise Problem(413, _TOO_LARGE)
            return message

        refused = self._refused(HTTPConnection(scope))
        app = self._app if refused is None else answer(refused)
        await app(scope, within_limit, with_headers)

    def _refused(self, request: HTTPConnection) -> Problem | None:
        path, method = request.scope["path"], request.scope["method"]
        if path not in _PROBES and request.headers.get("host", "") not in self._hosts:
            return Problem(421, "This host is not one of ours: see console.allowed_hosts.")
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            return Problem(413, _TOO_LARGE)
        # A browser adds cookies by itself, but never an Authorization header.
        if method in _SAFE_METHODS or "authorization" in request.headers:
            return None
        if not self._hosts.is_our_page(request):
            return Problem(403, "The request comes from a page of another origin.")
        return None


def _headers(settings: ConsoleSettings) -> dict[str, str]:
    ancestors = " ".join(settings.embed_origins) or "'none'"
    headers = {
        "Content-Security-Policy": (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
            f"frame-ancestors {ancestors}"
        ),
        "X-Content-Type-Options": "nosniff",
        # Not no-referrer: with our own forms, browsers would send `Origin: null` (Fetch, §3.2).
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
        "Cache-Control": "no-store",
    }
    if not settings.embed_origins:
        headers["X-Frame-Options"] = "DENY"  # for what knows no frame-ancestors
    if settings.origin.startswith("https://"):
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return headers
