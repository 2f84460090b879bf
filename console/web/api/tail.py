"""`/api/v1/tail`: events as they are stored, as server-sent events (WHATWG HTML §9.2).

The id of a message is a vector of offsets in the raw topic: a client that comes back with it as
`Last-Event-ID`, as browsers do by themselves, goes on after that message, also where the console
was started anew in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import StreamingResponse

from auditbus.console.query.cursor import Cursor
from auditbus.console.web.api.answers import READING
from auditbus.console.web.asking import Asking, PrincipalOf
from auditbus.console.web.limiting import LimitsOf
from auditbus.console.web.live import Live, Subscription
from auditbus.console.web.problems import Problem

__all__ = ["router"]

router = APIRouter(prefix="/tail", tags=["events"], responses=READING)
_HEARTBEAT_S = 15.0
_RETRY_MS = 2_000


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


async def _place_of(principal: PrincipalOf, limits: LimitsOf) -> AsyncIterator[None]:
    """Hold one of the principal's tails until the stream ends."""
    end = limits.begin_tail(principal.id)
    try:
        yield
    finally:
        end()


@router.get("", response_class=EventStream, dependencies=[Depends(_place_of)])
async def tail(
    request: Request,
    asked: Asking,
    last_event_id: Annotated[
        str | None, Header(description="The id of the last message that was seen.")
    ] = None,
) -> EventStream:
    """Follow what is stored from now on, or after `Last-Event-ID`; each event once.

    A message's data is an enriched event. A comment comes every 15 seconds where nothing else does.
    Who reads too slowly is cut off, and may resume.
    """
    live: Live = request.app.state.live
    last = _cursor(last_event_id)
    condition = await asyncio.to_thread(lambda: asked.row_predicate)
    stack = AsyncExitStack()
    subscription = await stack.enter_async_context(live.subscribed(condition))
    return EventStream(_messages(live, subscription, last, stack))


async def _messages(
    live: Live, subscription: Subscription, last: Cursor | None, stack: AsyncExitStack
) -> AsyncIterator[bytes]:
    async with stack:
        yield b"retry: %d\n\n" % _RETRY_MS
        if last is not None:
            async for missed in live.missed(subscription, last):
                yield missed
        yield b"id: %b\n\n" % str(subscription.start).encode()
        while True:
            try:
                async with asyncio.timeout(_HEARTBEAT_S):
                    made = await subscription.queue.get()
            except TimeoutError:
                # Moves the browser's place on too, where the filter lets nothing through.
                yield b"id: %b\n: alive\n\n" % live.position.encode()
                continue
            if made is None:
                return
            yield made


def _cursor(text: str | None) -> Cursor | None:
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except ValueError as error:
        raise Problem(400, f"Last-Event-ID: {error}", field="Last-Event-ID") from None
