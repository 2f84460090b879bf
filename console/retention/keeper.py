"""Does in the background what retention and holds need: applies, marks, releases.

Any number of console processes may do it: each step leaves the same state when it is done again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from auditbus.console.retention.changing import apply_due
from auditbus.console.retention.holds import reconcile_holds
from auditbus.console.retention.periods import reconcile_retention
from auditbus.console.retention.recorded import Record
from auditbus.runtime.logging import get_logger

__all__ = ["RECONCILE_S", "Keeper"]

RECONCILE_S = 3600.0
"""Between two looks at all events; far below the day that nothing expires before."""
_LOOK_S = 30.0  # for changes that are due
_log = get_logger(__name__)


class Keeper:
    """Works through `client` while it is `running`; tells `record` what takes effect."""

    def __init__(
        self, client: Client, record: Record, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Do nothing yet. `client` must be safe for one thread more."""
        self._client = client
        self._record = record
        self._clock = clock
        self._reconciled_s: float | None = None
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Work in a thread until the block ends; a step under way is not waited for."""
        thread = threading.Thread(target=self._run, name="retention", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=1)

    def step(self, now: datetime) -> None:
        """Apply what is due, and look at all events where that was not done within the hour.

        Failures are logged: the next step tries again.
        """
        with _told("apply"):
            for change in apply_due(self._client, now, self._record):
                _log.info("retention_shortened", account=change.account, days=change.days)
        if self._reconciled_s is None or self._clock() - self._reconciled_s >= RECONCILE_S:
            with _told("reconcile"):
                reconcile_holds(self._client)  # first: the other one's mutation may delete
                reconcile_retention(self._client)
                self._reconciled_s = self._clock()

    def _run(self) -> None:
        while not self._stop.is_set():
            self.step(datetime.now(UTC))
            self._stop.wait(_LOOK_S)


@contextmanager
def _told(step: str) -> Iterator[None]:
    """Log what fails, whatever it is: nobody else would, and the thread must go on."""
    try:
        yield
    except Exception as error:  # noqa: BLE001
        _log.warning("retention_step_failed", step=step, reason=type(error).__name__)
