"""A stream that has begun goes on only while the one who began it may still see the same.

A live tail is one request for hours: without this, a token that is revoked, a session that ends or
a grant that changes would go on showing what it showed. Clients resume by `Last-Event-ID`, under
what holds then.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from auditbus.console.access import REMEMBERED_S, Principal
from auditbus.console.web.gate import Gate
from auditbus.console.web.problems import Problem
from auditbus.runtime.errors import AuditbusError

__all__ = ["StreamGuard"]

_EVENT_STREAM = b"text/event-stream"


class StreamGuard:
    """Asks again who asks before it lets more of an event stream out, every `REMEMBERED_S`."""

    def __init__(
        self, app: ASGIApp, gate: Gate, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Ask `gate`."""
        self._app = app
        self._gate = gate
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on but what comes after a change."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        watch = _Watch(self._gate, Request(scope), send, self._clock)
        try:
            await self._app(scope, watch.receiving(receive), watch.send)
        except Exception:  # whatever the application makes of a client that is gone
            if not watch.is_cut:
                raise


class _Watch:
    """One request."""

    def __init__(
        self, gate: Gate, request: Request, send: Send, clock: Callable[[], float]
    ) -> None:
        self._gate = gate
        self._request = request
        self._send = send
        self._clock = clock
        self._principal: Principal | None = None
        self._is_stream = False
        self._checked_s = 0.0
        self.is_cut = False

    def receiving(self, receive: Receive) -> Receive:
        async def received() -> Message:
            message = await receive()
            return {"type": "http.disconnect"} if self.is_cut else message

        return received

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self._is_stream = kind.startswith(_EVENT_STREAM) and message["status"] == 200  # noqa: PLR2004
            if self._is_stream:
                self._principal = await self._asked()
        elif self._is_stream and self._clock() - self._checked_s >= REMEMBERED_S:
            now = await self._asked()
            if now is None or now != self._principal:
                self.is_cut = True
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})
        if self.is_cut:
            raise OSError("the stream is cut: what its reader may see has changed")
        await self._send(message)

    async def _asked(self) -> Principal | None:
        self._checked_s = self._clock()
        try:
            return await run_in_threadpool(self._gate.principal, self._request)
        except (Problem, AuditbusError):
            return None
