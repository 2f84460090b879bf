"""Middleware for ASGI 3 (Starlette, FastAPI, Litestar, Django): binds the request to its events.

Specification: https://asgi.readthedocs.io/en/latest/specs/www.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from auditbus.producers.context import bound_request
from auditbus.producers.http_request import ForwardedHeader, RequestReader

__all__ = ["AuditMiddleware"]

# Starlette types a connection as a MutableMapping, Litestar as a TypedDict: neither is the other.
Scope = Any
App = Callable[[Scope, Any, Any], Awaitable[None]]


class AuditMiddleware:
    """Binds client, request id and trace id for each HTTP request and each WebSocket.

        app.add_middleware(AuditMiddleware, trusted_proxies=["10.0.0.0/8"])

    What `bind` adds within the request counts for the whole of it. Messages pass untouched, and so
    does the lifespan.
    """

    def __init__(
        self,
        app: App,
        *,
        trusted_proxies: Iterable[str] = (),
        forwarded_header: ForwardedHeader = "x-forwarded-for",
        request_id_header: str = "x-request-id",
    ) -> None:
        """Wrap `app`.

        trusted_proxies    networks ("10.0.0.0/8") whose forwarded header is believed; "unix" for a
                           proxy on a Unix socket. Default: none, the peer is the client.
        forwarded_header   the one that those proxies write; the other is anybody's word.
        request_id_header  where a request id comes in; one that is missing or odd is replaced.
        """
        self._app = app
        self._read = RequestReader(trusted_proxies, forwarded_header, request_id_header)

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Serve one connection."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        with bound_request({"context": self._context(scope)}):
            await self._app(scope, receive, send)

    def _context(self, scope: Scope) -> dict[str, Any]:
        lines: dict[str, str] = {}
        for raw_name, raw_value in scope.get("headers") or ():
            name, value = (
                bytes(raw_name).decode("latin-1").lower(),
                bytes(raw_value).decode("latin-1"),
            )
            lines[name] = f"{lines[name]},{value}" if name in lines else value
        client = scope.get("client")
        return self._read(client[0] if client else None, lines.get)
