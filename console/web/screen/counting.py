"""The numbers beside the rows: histogram and facets, counted in threads of their own.

A page does not wait for them: counting costs more than finding a page, and would keep the store
and, on the same machine, the browser from what people read first. A page fetches the numbers once
it is painted. An equal count that runs, or has just ended, is shared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from clickhouse_connect.driver.client import Client

from auditbus.console.query.statistics import FACETS, Bucket, FacetValue
from auditbus.console.query.survey import oldest, survey
from auditbus.console.web.screen.chart import grid
from auditbus.console.web.screen.ranges import step_of
from auditbus.console.web.screen.wanted import Wanted

__all__ = ["Count", "Counter", "Numbers"]

_Answer = TypeVar("_Answer")
_FACET_VALUES = 8
_THREADS = 4
_SHARED_S = 5.0
_LEAST_SPAN = timedelta(days=1)
# A clock that was decades wrong must not make a histogram of one bar.
_LONGEST_SPAN = timedelta(days=3653)


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

    future: Future[Numbers]
    begun_s: float

    @property
    def is_shared(self) -> bool:
        """Whether it is new enough, and did not fail."""
        if self.future.done() and self.future.exception() is not None:
            return False
        return time.monotonic() - self.begun_s < _SHARED_S

    def numbers(self) -> Numbers:
        """Wait to the end. Raises what the client raises."""
        return self.future.result()


class Counter:
    """Counts in threads of its own."""

    def __init__(self) -> None:
        """Start no thread before there is something to count."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="counting")
        self._lock = threading.Lock()
        self._begun: dict[object, Count] = {}

    def ask(self, question: Callable[[], _Answer]) -> Future[_Answer]:
        """Ask something else that may take long; returns at once."""
        return self._threads.submit(question)

    def begin(self, key: object, client: Client, wanted: Wanted, now: datetime) -> Count:
        """Begin to count, or join the count of an equal key; returns at once.

        `key` must tell apart who asks, as it tells apart what is asked for.
        """
        with self._lock:
            self._begun = {known: count for known, count in self._begun.items() if count.is_shared}
            if key not in self._begun:
                future = self._threads.submit(_count, client, wanted, now)
                self._begun[key] = Count(future, time.monotonic())
            return self._begun[key]

    def known(self, key: object) -> Numbers | None:
        """Return what was just counted for an equal key; None where nothing was. Never waits."""
        with self._lock:
            count = self._begun.get(key)
        if count is None or not count.future.done() or not count.is_shared:
            return None
        return count.numbers()


def _count(client: Client, wanted: Wanted, now: datetime) -> Numbers:
    until = wanted.filter.until or now
    since = wanted.filter.since or _beginning(client, wanted, until)
    step = step_of(until - since)
    free = [name for name in FACETS if not wanted.is_chosen(name)]
    found = survey(client, wanted.predicate, step, free, _FACET_VALUES)
    facets = {**found.facets, **_chosen(client, wanted)}
    return Numbers(found.buckets, since, list(grid(since, until, step)), step, facets)


def _beginning(client: Client, wanted: Wanted, until: datetime) -> datetime:
    """Return where a histogram of all time begins."""
    first = oldest(client, wanted.predicate) or until
    return min(max(first, until - _LONGEST_SPAN), until - _LEAST_SPAN)


def _chosen(client: Client, wanted: Wanted) -> dict[str, Sequence[FacetValue]]:
    """Return the facets that are filtered: each as if it were not, and its chosen values.

    The most frequent values stand after those chosen that are rarer.
    """
    found: dict[str, Sequence[FacetValue]] = {}
    for name in FACETS:
        if wanted.is_chosen(name):
            among = survey(client, wanted.besides(name), None, [name], _FACET_VALUES).facets[name]
            mine = survey(client, wanted.predicate, None, [name], _FACET_VALUES).facets[name]
            known = {item.value for item in among}
            found[name] = [*(item for item in mine if item.value not in known), *among]
    return found
