"""The agent between the raw topic and the enriched one: publish, be sure, then acknowledge."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, cast

from faust.events import Event

from auditbus.runtime.logging import get_logger
from auditbus.streams.publisher import Publisher
from auditbus.streams.records import Records
from auditbus.streams.routing import Router
from auditbus.streams.transport import settle

__all__ = ["EnrichmentAgent"]

_FLUSH_TIMEOUT_S = 90.0
_STALLED_S = 0.05

_log = get_logger(__name__)


class EnrichmentAgent:
    """Publishes batches and acknowledges each only after the brokers have.

    Waiting for the acknowledgement goes on beside the next batches, and begins as soon as none is
    queued; only when `flush_events` are out do the next ones wait for it.
    """

    def __init__(
        self,
        router: Router,
        publisher: Publisher,
        *,
        flush_events: int,
        on_failure: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        """`on_failure` ends the worker: what is not acknowledged is read again by the next."""
        self._router = router
        self._publisher = publisher
        self._flush_events = flush_events
        self._on_failure = on_failure
        self._unsettled: list[Event] = []
        self._unsettled_events = 0
        self._last_batch_at = 0.0
        self._queue_is_empty = asyncio.Event()
        self._settling = asyncio.Lock()
        # Its own thread: flush blocks, and the event loop must go on answering.
        self._flusher = ThreadPoolExecutor(1, thread_name_prefix="flush")

    async def run(self, stream: Any) -> None:
        """Handle batches until the worker stops; the body of the Faust agent."""
        settler = asyncio.create_task(self._settle_beside())
        try:
            async for event in stream.noack().events():
                await self._handle(event, stream.channel.queue.empty)
        except Exception as error:
            # Faust would start the agent again and go on behind the batch that failed.
            _log.error("stream_failed", error=str(error), kind=type(error).__name__)
            await self._on_failure(error)
            raise
        finally:
            settler.cancel()

    async def _handle(self, event: Event, is_queue_empty: Callable[[], bool]) -> None:
        records = cast("Records", event.value)
        message = event.message
        self._router.route(message.topic, message.partition, records)
        self._last_batch_at = time.monotonic()
        self._unsettled.append(event)
        self._unsettled_events += len(records)
        if self._unsettled_events >= self._flush_events:
            await self._settle()
        elif is_queue_empty():
            self._queue_is_empty.set()

    async def _settle(self) -> None:
        async with self._settling:
            events, self._unsettled = self._unsettled, []
            self._unsettled_events = 0
            if not events:
                return
            loop = asyncio.get_running_loop()
            # Waits for what is published meanwhile as well; `_handle` bounds how much that is.
            await loop.run_in_executor(self._flusher, self._publisher.flush, _FLUSH_TIMEOUT_S)
            for event in events:
                settle(event)

    async def _settle_beside(self) -> None:
        try:
            while True:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._queue_is_empty.wait(), _STALLED_S)
                stalled = time.monotonic() - self._last_batch_at > _STALLED_S
                # Stalled: a rebalance has emptied the queue, and waits for what is in hand.
                if self._queue_is_empty.is_set() or stalled:
                    self._queue_is_empty.clear()
                    await self._settle()
        except Exception as error:  # noqa: BLE001  # the worker ends, whatever it was
            await self._on_failure(error)
