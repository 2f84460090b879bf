"""The numbers beside the rows: histogram and facets, counted while the rows are read.

A page waits for them for a moment only. What takes longer it fetches afterwards, and gets what was
begun for it: an equal count that runs, or has just ended, is shared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client

from auditbus.console.query.statistics import FACETS, Bucket, FacetValue, facet, histogram
from auditbus.console.web.screen.chart import grid
from auditbus.console.web.screen.ranges import step_of
from auditbus.console.web.screen.wanted import Wanted

__all__ = ["Count", "Counter", "Numbers"]

_FACET_VALUES = 8
_THREADS = 8
_SHARED_S = 5.0
_ALL_TIME = timedelta(days=180)  # so long are events kept by default


@dataclass(frozen=True, slots=True)
class Numbers:
    """What was counted. `starts` are those of all buckets, of width `step`, also of empty ones.

    The first bucket holds nothing from before `since`.
    """

    buckets: Sequence[Bucket]
    since: datetime
    starts: list[datetime]
    step: timedelta
    facets: dict[str, Sequence[FacetValue]]


@dataclass(frozen=True, slots=True)
class Count:
    """A count under way."""

    since: datetime
    starts: list[datetime]
    step: timedelta
    buckets: Future[list[Bucket]]
    facets: dict[str, Future[Sequence[FacetValue]]]
    begun_s: float

    @property
    def has_failed(self) -> bool:
        """Whether any part of it failed so far."""
        return any(future.done() and future.exception() for future in self._futures)

    @property
    def _futures(self) -> list[Future[Any]]:
        return [self.buckets, *self.facets.values()]

    def numbers(self, timeout_s: float | None) -> Numbers | None:
        """Wait so long (None: to the end); None where that was too short.

        Raises what the client raises.
        """
        if wait(self._futures, timeout_s).not_done:
            return None
        facets = {name: future.result() for name, future in self.facets.items()}
        return Numbers(self.buckets.result(), self.since, self.starts, self.step, facets)


class Counter:
    """Counts in threads of its own."""

    def __init__(self) -> None:
        """Start no thread before there is something to count."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="counting")
        self._lock = threading.Lock()
        self._begun: dict[object, Count] = {}

    def begin(self, key: object, client: Client, wanted: Wanted, now: datetime) -> Count:
        """Begin to count, or join the count of an equal key; returns at once.

        `key` must tell apart who asks, as it tells apart what is asked for.
        """
        now_s = time.monotonic()
        with self._lock:
            self._begun = {
                known: count
                for known, count in self._begun.items()
                if now_s - count.begun_s < _SHARED_S and not count.has_failed
            }
            count = self._begun.get(key) or self._submit(client, wanted, now, now_s)
            self._begun[key] = count
            return count

    def _submit(self, client: Client, wanted: Wanted, now: datetime, now_s: float) -> Count:
        until = wanted.filter.until or now
        since = wanted.filter.since or until - _ALL_TIME
        step = step_of(until - since)
        facets = {name: self._threads.submit(_values, client, wanted, name) for name in FACETS}
        buckets = self._threads.submit(histogram, client, wanted.predicate, step)
        return Count(since, list(grid(since, until, step)), step, buckets, facets, now_s)


def _values(client: Client, wanted: Wanted, name: str) -> Sequence[FacetValue]:
    """Return the most frequent values, and those chosen, however rare."""
    frequent = facet(client, wanted.besides(name), name, _FACET_VALUES)
    if not wanted.is_chosen(name):
        return frequent
    known = {item.value for item in frequent}
    chosen = facet(client, wanted.predicate, name, _FACET_VALUES)
    return [*(item for item in chosen if item.value not in known), *frequent]
