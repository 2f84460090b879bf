"""What one destination has under way: requests, and batches that wait for acknowledgement."""

from __future__ import annotations

import heapq
import itertools
import math
import sys
from collections import Counter
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from functools import partial
from queue import Empty, SimpleQueue

from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.lane import Lane
from auditbus.sinks.siem.outcomes import Accepted
from auditbus.sinks.siem.pool import SenderPool
from auditbus.sinks.siem.records import Batch
from auditbus.sinks.siem.sender import Sender, Settlement

__all__ = ["InFlight"]

# While a stop waits, acknowledgements are asked for this often, whatever the usual interval.
_HURRIED_S = 0.5
# A request holds its events as read, as encoded, and joined to a body.
_COPIES = 3


class InFlight:
    """Belongs to the destination's consumer thread; only the requests run in threads of a pool."""

    def __init__(self, sender: Sender, name: str, requests: int, budget: Budget) -> None:
        """Run `requests` at a time at most; `budget` bounds what waits for acknowledgement."""
        self.held_bytes = 0
        """About what the requests hold: their events several times over."""
        self._sender = sender
        self._requests = requests
        self._budget = budget
        self._pool = SenderPool(name, requests)
        self._results: SimpleQueue[tuple[Lane, int, Settlement | BaseException | None]] = (
            SimpleQueue()
        )
        self._jobs: Counter[Lane] = Counter()
        self._confirms: list[tuple[float, int, Lane, Batch, Accepted]] = []  # heap by time
        self._confirm_at_most_s = math.inf
        self._unacknowledged = 0  # events of the batches in _confirms
        self._serial = itertools.count()

    @property
    def requests(self) -> int:
        """How many are under way."""
        return self._jobs.total()

    @property
    def has_room(self) -> bool:
        """Whether another batch may be sent."""
        may_wait = self._unacknowledged < self._budget.unacknowledged_events
        return may_wait and self.requests < self._requests

    def send(self, lane: Lane, batch: Batch, size_bytes: int) -> None:
        """Start the request for `batch`, taken from `lane`."""
        self._submit(lane, _COPIES * size_bytes, partial(self._sender.send, batch))

    def wait(self, lane: Lane, batch: Batch, accepted: Accepted, now: float) -> None:
        """Ask for the acknowledgement of `batch` when it is time."""
        due = now + min(accepted.check_after_s, self._confirm_at_most_s)
        heapq.heappush(self._confirms, (due, next(self._serial), lane, batch, accepted))
        self._unacknowledged += len(batch.records)

    def confirm(self, now: float) -> None:
        """Ask for the acknowledgements that are due."""
        while self._confirms and self._confirms[0][0] <= now:
            _, _, lane, batch, accepted = heapq.heappop(self._confirms)
            self._unacknowledged -= len(batch.records)
            self._submit(lane, 0, partial(self._sender.confirm, batch, accepted))

    def take(self, timeout_s: float = 0.0) -> tuple[Lane, Settlement] | None:
        """Return what came of a request, None where none has ended.

        Raises RuntimeError where the sender failed, which it never should: its batch is lost to
        this process, though not to Kafka, so the delivery must begin anew.
        """
        try:
            lane, size_bytes, found = self._results.get(timeout_s > 0, timeout_s or None)
        except Empty:
            return None
        self._jobs[lane] -= 1
        self._jobs += Counter()  # drops what is zero
        self.held_bytes -= size_bytes
        if isinstance(found, Settlement):
            return lane, found
        raise RuntimeError(f"a sender failed: {type(found).__name__}") from found

    def is_waiting_for(self, lanes: AbstractSet[Lane]) -> bool:
        """Whether an answer or an acknowledgement for one of `lanes` is still to come."""
        return any(self._jobs[lane] for lane in lanes) or any(
            entry[2] in lanes for entry in self._confirms
        )

    def hurry(self) -> None:
        """Ask for all acknowledgements at once, and often from now on: somebody waits for them."""
        self._confirm_at_most_s = _HURRIED_S
        self._confirms = [(0.0, *entry[1:]) for entry in self._confirms]
        heapq.heapify(self._confirms)

    def relax(self) -> None:
        """Ask as often as the destination says again."""
        self._confirm_at_most_s = math.inf

    def close(self) -> None:
        """Let the threads end after what they are doing; returns at once."""
        self._pool.close()

    def _submit(self, lane: Lane, size_bytes: int, request: Callable[[], Settlement]) -> None:
        def run() -> None:
            found: Settlement | BaseException | None
            try:
                found = request()
            except:  # noqa: E722  # unnoticed, the lane would wait for ever
                found = sys.exc_info()[1]
            self._results.put((lane, size_bytes, found))

        self._jobs[lane] += 1
        self.held_bytes += size_bytes
        self._pool.submit(run)
