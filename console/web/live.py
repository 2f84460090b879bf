"""All live tails of this process: one look at the store for all of them, twice a second.

A tail costs its connection, a bounded queue of messages that it shares with others, and a condition
that is shared with those who ask for the same. Who does not read fast enough is cut off, and
resumes where it was by the id of its last message.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from auditbus.console.query.cursor import LOOK_BACK, Cursor
from auditbus.console.query.feed import Feed, FeedEvent, NewEvent
from auditbus.console.query.predicate import Predicate
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff

__all__ = ["Live", "Subscription", "message"]

_log = get_logger(__name__)
_INTERVAL_S = 0.5
_REST = 2  # however long a look takes, the store rests twice as long
_QUEUED_MESSAGES = 1_000
_EVENTS_AT_ONCE = 500
_MOST_MISSED = 100_000


@dataclass(slots=True, eq=False)
class Subscription:
    """One tail. `queue` holds its messages; None is the last: it was cut off."""

    condition: Predicate
    start: Cursor
    queue: asyncio.Queue[bytes | None] = field(
        default_factory=lambda: asyncio.Queue(_QUEUED_MESSAGES)
    )
    is_cut: bool = False


@dataclass(slots=True)
class Live:
    """Belongs to one event loop. Looks at nothing while nobody is subscribed."""

    store: Client
    looks: int = field(default=0, init=False)
    _feed: Feed | None = field(default=None, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)
    _subscriptions: set[Subscription] = field(default_factory=set, init=False)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @asynccontextmanager
    async def subscribed(self, condition: Predicate) -> AsyncIterator[Subscription]:
        """Follow what fits `condition` from now on. Raises what the client raises."""
        async with self._lock:
            if self._feed is None:
                feed = Feed(self.store)
                await asyncio.to_thread(feed.start)
                self._feed = feed
                self._task = asyncio.create_task(self._follow(feed))
            subscription = Subscription(condition, self._feed.cursor.copy())
            self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions and self._task is not None:
                self._task.cancel()
                self._task = self._feed = None

    @property
    def position(self) -> str:
        """The id of the newest look; who has emptied its queue has come so far."""
        return str(self._feed.cursor) if self._feed else str(Cursor())

    async def missed(self, subscription: Subscription, last: Cursor) -> AsyncIterator[bytes]:
        """Yield messages of what came after `last` and before the subscription."""
        cursor, start = last.copy(), subscription.start
        for partition, offset in list(cursor.up_to.items()):
            if offset > start.up_to.get(partition, -1) + LOOK_BACK:  # the topic is a new one
                cursor.up_to[partition] = start.up_to.get(partition, -1)
                cursor.missing[partition] = set()
        feed = Feed(self.store)
        found = await asyncio.to_thread(feed.missed, cursor, subscription.condition, _MOST_MISSED)
        places = [place for place in found if start.has(place.partition, place.offset)]
        for first in range(0, len(places), _EVENTS_AT_ONCE):
            some = places[first : first + _EVENTS_AT_ONCE]
            for event in await asyncio.to_thread(_judged, feed, some, [subscription.condition]):
                cursor.add(event.place.partition, event.place.offset)
                yield message(str(cursor), event.event)

    async def _follow(self, feed: Feed) -> None:
        backoff = Backoff(base_s=_INTERVAL_S, cap_s=10.0)
        while True:
            began_s = time.monotonic()
            try:
                async with self._lock:
                    await self._look(feed)
            except ClickHouseError:
                if not backoff.failures:
                    _log.warning("live_tails_wait", reason="the store does not answer")
                await asyncio.sleep(backoff.next_delay_s())
            else:
                backoff.reset()
                await asyncio.sleep(max(_INTERVAL_S, _REST * (time.monotonic() - began_s)))

    async def _look(self, feed: Feed) -> None:
        self.looks += 1
        places = await asyncio.to_thread(feed.look)
        for first in range(0, len(places), _EVENTS_AT_ONCE):
            some = places[first : first + _EVENTS_AT_ONCE]
            groups = self._by_condition()
            conditions = [tails[0].condition for tails in groups]
            found = await asyncio.to_thread(_judged, feed, some, conditions)
            self._hand_out(feed.cursor, some, found, groups)

    def _by_condition(self) -> list[list[Subscription]]:
        groups: dict[tuple[str, str], list[Subscription]] = {}
        for subscription in self._subscriptions:
            condition = subscription.condition
            key = (condition.sql, repr(sorted(condition.parameters.items())))
            groups.setdefault(key, []).append(subscription)
        return list(groups.values())

    def _hand_out(
        self,
        cursor: Cursor,
        places: Sequence[NewEvent],
        found: Sequence[FeedEvent],
        groups: Sequence[Sequence[Subscription]],
    ) -> None:
        """Never waits, so that no subscription sees the cursor between two events."""
        events = {event.place: event for event in found}
        for place in places:
            cursor.add(place.partition, place.offset)
            if (event := events.get(place)) is None:
                continue
            made = message(str(cursor), event.event)
            for number in event.holding:
                for subscription in groups[number]:
                    _put(subscription, made)


def message(id_: str, event: bytes) -> bytes:
    """Return a server-sent event (WHATWG HTML §9.2): an enriched event on one line."""
    # A line break stands only between JSON tokens, never raw within a string.
    line = event.replace(b"\r", b" ").replace(b"\n", b" ")
    return b"id: %b\ndata: %b\n\n" % (id_.encode(), line)


def _judged(
    feed: Feed, places: Sequence[NewEvent], conditions: Sequence[Predicate]
) -> list[FeedEvent]:
    return list(feed.judge(places, conditions))


def _put(subscription: Subscription, made: bytes) -> None:
    if subscription.is_cut:
        return
    try:
        subscription.queue.put_nowait(made)
    except asyncio.QueueFull:
        subscription.is_cut = True
        while not subscription.queue.empty():
            subscription.queue.get_nowait()
        subscription.queue.put_nowait(None)
