"""A live tail ends when what its reader may see changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.types import Message

from auditbus.console.access import Principal, Role
from auditbus.console.web.gate import Gate
from auditbus.console.web.streams import StreamGuard

_ANN = Principal("t:ann", "Ann", Role.MEMBER, accounts=frozenset({"acme"}))


class _Reader:
    """Reads `/tail` of an application whose principal and clock the test sets."""

    def __init__(self) -> None:
        self.principal: Principal | None = _ANN
        self.now_s = 0.0
        self.sent = 0
        self.closed = False
        self.body: list[bytes] = []
        self.ended = False

    async def read(self, change_after: int, change_to: Principal | None) -> None:
        app = FastAPI()

        @app.get("/tail")
        def tail() -> StreamingResponse:
            return StreamingResponse(self._events(), media_type="text/event-stream")

        guarded = StreamGuard(app, Gate([self._way]), clock=lambda: self.now_s)

        async def send(message: Message) -> None:
            if message["type"] == "http.response.body":
                self.body.append(message["body"])
                self.ended = not message.get("more_body", False)
            if len(self.body) == change_after:
                self.principal = change_to

        async def receive() -> Message:
            await asyncio.sleep(60)
            return {"type": "http.disconnect"}

        scope = {
            "type": "http", "method": "GET", "path": "/tail", "raw_path": b"/tail",
            "query_string": b"", "headers": [], "root_path": "", "scheme": "http",
            "asgi": {"version": "3.0", "spec_version": self.spec_version},
        }  # fmt: skip
        await asyncio.wait_for(guarded(scope, receive, send), 10)

    spec_version = "2.4"

    def _way(self, _: Request) -> Principal | None:
        return self.principal

    async def _events(self) -> AsyncIterator[bytes]:
        try:
            for number in range(100):
                self.sent = number
                self.now_s += 1
                yield b"data: %d\n\n" % number
        finally:
            self.closed = True


def _read(change_to: Principal | None, spec_version: str = "2.4") -> _Reader:
    reader = _Reader()
    reader.spec_version = spec_version
    asyncio.run(reader.read(10, change_to))
    return reader


def test_a_stream_goes_on_while_nothing_changes() -> None:
    reader = _read(_ANN)
    assert len([part for part in reader.body if part]) == 100


def test_a_stream_ends_within_seconds_of_a_revocation_or_a_change() -> None:
    for spec_version in ("2.4", "2.0"):  # uvicorn's, and servers that tell of a disconnect
        for change in (None, replace(_ANN, accounts=frozenset()), replace(_ANN, role=Role.AUDITOR)):
            reader = _read(change, spec_version)
            shown = len([part for part in reader.body if part])
            assert 10 <= shown <= 13, (spec_version, change)
            assert reader.ended
            assert reader.closed, "what read the store for it has stopped"
