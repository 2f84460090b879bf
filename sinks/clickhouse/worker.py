"""One thread that does one thing at a time, so that the poll loop never has to."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Worker"]

_Job = TypeVar("_Job")


class Worker(Generic[_Job]):
    """Runs `work` on one job at a time. A daemon: an insert that hangs never keeps a process."""

    def __init__(self, work: Callable[[_Job], None]) -> None:
        """Remember; `start` makes the thread."""
        self._work = work
        self._jobs: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._failure: BaseException | None = None

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._run, name="sink-worker", daemon=True).start()

    def submit(self, job: _Job) -> None:
        """Hand over a job; only while idle, after the last one's failure was raised."""
        self._idle.clear()
        self._jobs.put(job)

    def wait(self, timeout_s: float) -> bool:
        """Return whether the worker is idle, waiting for that at most `timeout_s`."""
        return self._idle.wait(timeout_s)

    def raise_failure(self) -> None:
        """Raise what the last job raised, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            try:
                self._work(job)
            except BaseException as failure:  # noqa: BLE001  # it is raised again in the loop
                self._failure = failure
            finally:
                self._idle.set()
