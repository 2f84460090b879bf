"""Worker processes that prepare batches of records, and give them back in the order they came.

Batches go round: the first to the first worker, the next to the next, and are asked back alike. A
worker has one batch at a time, so that neither side ever waits for the other to read.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self

from auditbus.console.sources.preparing import Outcome, Preparation, Refused
from auditbus.console.sources.records import Content, Unread
from auditbus.runtime.errors import WorkerFailed

__all__ = ["Pool", "usable_processors"]

_END_TIMEOUT_S = 5.0
# Fewer collections: records come from JSON, and nothing in them refers back.
_COLLECT_EVERY = 100_000
# Not fork: the producer's threads hold locks. A fork server imports once for all workers.
_METHOD = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"

Batch = Sequence[Content | Unread | Refused]


def usable_processors() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):  # os.process_cpu_count comes with Python 3.13
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Pool:
    """Some worker processes; close it. For one thread.

    Workers ignore Ctrl-C and end when this process does, however it ends.
    """

    def __init__(self, preparation: Preparation, processes: int) -> None:
        """Start them; returns before they are ready."""
        context = multiprocessing.get_context(_METHOD)
        if _METHOD == "forkserver":
            context.set_forkserver_preload([__name__])
        self._workers: list[tuple[BaseProcess, Connection]] = []
        for number in range(processes):
            ours, theirs = context.Pipe()
            process: BaseProcess = context.Process(  # type: ignore[attr-defined]  # not in typeshed
                target=_work, args=(theirs, preparation), name=f"prepare-{number}", daemon=True
            )
            process.start()
            theirs.close()  # or its end would not be seen
            self._workers.append((process, ours))
        self._sent = self._received = 0
        self._ready = False
        self._greeted: set[BaseProcess] = set()

    @property
    def is_ready(self) -> bool:
        """True once every worker waits for its first batch, or has ended."""
        if not self._ready:
            self._ready = all(connection.poll() for _, connection in self._workers)
        return self._ready

    @property
    def is_full(self) -> bool:
        """True where every worker has a batch: take one back before the next."""
        return self._sent - self._received == len(self._workers)

    def send(self, batch: Batch) -> None:
        """Hand a batch to the next worker. Raises WorkerFailed where that has ended."""
        process, connection = self._workers[self._sent % len(self._workers)]
        try:
            connection.send(batch)
        except OSError:
            raise _ended(process) from None
        self._sent += 1

    def receive(self) -> list[Outcome]:
        """Return what became of the oldest batch, record by record; waits for it.

        Raises WorkerFailed where its worker has ended or failed.
        """
        process, connection = self._workers[self._received % len(self._workers)]
        try:
            if process not in self._greeted:
                connection.recv()
                self._greeted.add(process)
            found: list[Outcome] | str = connection.recv()
        except (EOFError, OSError):
            raise _ended(process) from None
        if isinstance(found, str):
            raise WorkerFailed(f"a worker process failed: {found}")
        self._received += 1
        return found

    def close(self) -> None:
        """End the workers; what they still have is dropped."""
        for _, connection in self._workers:
            connection.close()
        for process, _ in self._workers:
            process.join(_END_TIMEOUT_S)
            if process.is_alive():
                process.kill()
                process.join()

    def __enter__(self) -> Self:
        """Return the pool."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()


def _ended(process: BaseProcess) -> WorkerFailed:
    process.join(_END_TIMEOUT_S)
    code = process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return WorkerFailed(
        f"a worker process ended by {how}: is there memory enough? Import the same "
        "input again: what was published is not stored twice"
    )


def _work(connection: Connection, preparation: Preparation) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process decides
    gc.set_threshold(_COLLECT_EVERY)
    prepare = preparation.begin()
    with connection, suppress(EOFError, OSError):  # the main process has ended
        connection.send("ready")
        while True:
            batch: Batch = connection.recv()
            try:
                outcomes: list[Outcome] | str = [prepare(content) for content in batch]
            except Exception as error:  # noqa: BLE001 -- told to the main process, which stops
                outcomes = f"{type(error).__name__}: {error}"
            connection.send(outcomes)
