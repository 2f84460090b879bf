"""A few threads that run blocking requests, so that the consumer thread never waits for one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

__all__ = ["SenderPool"]


class SenderPool:
    """Daemon threads, unlike an executor's: a hung request must not keep the process alive."""

    def __init__(self, name: str, size: int) -> None:
        """Start `size` threads."""
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._size = size
        for number in range(size):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    def submit(self, job: Callable[[], None]) -> None:
        """Run `job`, which must not raise, as soon as a thread is free."""
        self._jobs.put(job)

    def close(self) -> None:
        """Let each thread end after what it is doing; returns at once."""
        for _ in range(self._size):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
