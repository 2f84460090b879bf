"""Publish records one after another, and keep count of what became of each."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable

import orjson

from auditbus.console.sources.pool import Pool
from auditbus.console.sources.preparing import Outcome, Preparation, Prepared, Refused, refused
from auditbus.console.sources.records import Found
from auditbus.producers import AuditProducer, Delivery, InvalidEvent, QueueFull
from auditbus.schemas.errors import RejectCode

__all__ = ["Publisher", "Tally"]

_QUEUE_WAIT_S = 0.02
_SETTLE_WAIT_S = 0.01
_SETTLE_EVERY = 256
_BATCH_RECORDS, _BATCH_BYTES = 500, 512 * 1024
# Until then no worker is started: that costs as much as some thousands.
_ALONE_RECORDS = 4_000

Report = Callable[[str], None]
_Place = tuple[str, Found]


class Tally:
    """What became of the records."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.accepted = 0
        self.published = 0
        self.undelivered = 0
        self.reasons: Counter[RejectCode] = Counter()

    @property
    def rejected(self) -> int:
        """How many were refused."""
        return self.reasons.total()


class Publisher:
    """Has records prepared, publishes them in their order and counts. Close it.

    `report` is told each failure, named by its place. Without a producer it judges every record as
    one would, and publishes nothing.
    """

    def __init__(
        self,
        producer: AuditProducer | None,
        preparation: Preparation,
        report: Report,
        *,
        processes: int = 1,
        alone_records: int = _ALONE_RECORDS,
        wait_for_workers: bool = False,
    ) -> None:
        """More than one process: workers are started after the first `alone_records`.

        They prepare what comes once they have started, which takes a second; `wait_for_workers`:
        all that comes after.
        """
        self._wait_for_workers = wait_for_workers
        self._is_shared = False
        self.tally = Tally()
        self._producer = producer
        self._preparation = preparation
        self._prepare = preparation.begin()
        self._report = report
        self._processes = processes
        self._alone_records = alone_records if processes > 1 else None
        self._pool: Pool | None = None
        self._batch: list[_Place] = []
        self._batch_bytes = 0
        self._batches: deque[list[_Place]] = deque()  # at the workers, oldest first
        # In the order of the records. Asked from here: a callback for each would cost as much.
        self._waiting: deque[tuple[str, str, int, Delivery]] = deque()
        self._count = 0

    def publish(self, file: str, found: Found) -> None:
        """Take one record; blocks while the producer's queue is full. `file` begins its place.

        Raises WorkerFailed.
        """
        if not self._is_shared:
            self._count += 1
            self._conclude(file, found, self._prepare(found.content))
            if self._alone_records is not None and self._count >= self._alone_records:
                self._share()
            return
        self._batch.append((file, found))
        if isinstance(found.content, bytes):
            self._batch_bytes += len(found.content)
        if len(self._batch) >= _BATCH_RECORDS or self._batch_bytes >= _BATCH_BYTES:
            self._send()

    def flush(self) -> None:
        """Publish all that was taken: to be called before waiting for more. Raises WorkerFailed."""
        self._send()
        while self._batches:
            self._receive()

    def finish(self, timeout_s: float) -> None:
        """Wait until every delivery is settled, at most `timeout_s`; count what is not as lost."""
        deadline = time.monotonic() + timeout_s
        self._settle()
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_SETTLE_WAIT_S)
            self._settle()
        self.tally.undelivered += len(self._waiting)
        self._waiting.clear()

    def close(self) -> None:
        """End the workers. What they still have was neither published nor counted."""
        if self._pool is not None:
            self._pool.close()

    def _share(self) -> None:
        """Start the workers; leave the records to them once they are there."""
        if self._pool is None:
            self._pool = Pool(self._preparation, self._processes)
        if self._wait_for_workers or self._count % _SETTLE_EVERY == 0:
            self._is_shared = self._wait_for_workers or self._pool.is_ready

    def _send(self) -> None:
        if self._pool is None or not self._batch:
            return
        if self._pool.is_full:
            self._receive()
        self._pool.send([_sendable(found) for _, found in self._batch])
        self._batches.append(self._batch)
        self._batch, self._batch_bytes = [], 0

    def _receive(self) -> None:
        assert self._pool is not None  # noqa: S101 -- for the type checker
        outcomes = self._pool.receive()
        for (file, found), outcome in zip(self._batches.popleft(), outcomes, strict=True):
            self._conclude(file, found, outcome)

    def _conclude(self, file: str, found: Found, outcome: Outcome) -> None:
        if not isinstance(outcome, Refused):
            if self._producer is None:
                self.tally.accepted += 1
                return
            try:
                delivery = self._emit(self._producer, outcome)
            except InvalidEvent as error:  # too large with the producer's stamp
                fields = orjson.loads(outcome[0][0])
                outcome = refused(error, fields, self._preparation.format_name)
            else:
                self.tally.accepted += 1
                self._waiting.append((file, found.place, found.number, delivery))
                if len(self._waiting) % _SETTLE_EVERY == 0:
                    self._settle()
                return
        self.tally.reasons[outcome.code] += 1
        self._report(f"{file}{found.place} {found.number}: {outcome.reason}")

    def _emit(self, producer: AuditProducer, prepared: Prepared) -> Delivery:
        assembled, stamped = prepared
        while True:
            try:
                return producer.emit_assembled(assembled, stamped=stamped)
            except QueueFull:
                self._settle()
                time.sleep(_QUEUE_WAIT_S)  # ends: what waits is delivered, or times out

    def _settle(self) -> None:
        waiting, tally = self._waiting, self.tally
        while waiting and waiting[0][3].done:
            file, place, number, delivery = waiting.popleft()
            if (failure := delivery.exception) is None:
                tally.published += 1
            else:
                tally.undelivered += 1
                self._report(f"{file}{place} {number}: not published: {failure}")


def _sendable(found: Found) -> bytes | dict[str, object] | Refused:
    content = found.content
    return Refused(content.code, str(content)) if isinstance(content, InvalidEvent) else content
