"""Publish records one after another, and keep count of what became of each."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

import orjson

from auditbus.console.sources.mapping import SourceFormat
from auditbus.console.sources.records import Found
from auditbus.producers import AuditProducer, Delivery, InvalidEvent, QueueFull
from auditbus.schemas.errors import RejectCode
from auditbus.schemas.event import MAX_EVENT_BYTES, SCHEMA_VERSION
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.schemas.validation import validate_fields

__all__ = ["Publisher", "Tally"]

_QUEUE_WAIT_S = 0.02
_SETTLE_WAIT_S = 0.01
_SETTLE_EVERY = 256

Report = Callable[[str], None]


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
    """Maps, publishes and counts. `report` is told each failure, named by its place.

    Without a producer it judges every record as one would, and publishes nothing.
    """

    def __init__(
        self,
        producer: AuditProducer | None,
        source: SourceFormat | None,
        account: str | None,
        report: Report,
    ) -> None:
        """`source` is None for records that are events already; `account` is the person's word."""
        self.tally = Tally()
        self._producer = producer
        self._source = source
        self._account = account
        self._report = report
        # In the order of the records. Asked from here: a callback for each would cost as much.
        self._waiting: deque[tuple[str, str, int, Delivery]] = deque()

    def publish(self, file: str, found: Found) -> None:
        """Take one record; blocks while the producer's queue is full. `file` begins its place."""
        content = found.content
        fields: dict[str, Any] = {}
        try:
            if isinstance(content, InvalidEvent):
                raise content
            if self._source is None:
                fields = content
            else:
                fields = self._source.map_record(content, self._account)
            if self._producer is None:
                _judge(fields)
            else:
                delivery = self._emit(self._producer, fields)
                self._waiting.append((file, found.place, found.number, delivery))
                if len(self._waiting) % _SETTLE_EVERY == 0:
                    self._settle()
        except InvalidEvent as error:
            self.tally.reasons[error.code] += 1
            told = error if self._source is None else _in_source(error, fields, self._source.name)
            self._report(f"{file}{found.place} {found.number}: {told}")
        else:
            self.tally.accepted += 1

    def finish(self, timeout_s: float) -> None:
        """Wait until every delivery is settled, at most `timeout_s`; count what is not as lost."""
        deadline = time.monotonic() + timeout_s
        self._settle()
        while self._waiting and time.monotonic() < deadline:
            time.sleep(_SETTLE_WAIT_S)
            self._settle()
        self.tally.undelivered += len(self._waiting)
        self._waiting.clear()

    def _emit(self, producer: AuditProducer, fields: dict[str, Any]) -> Delivery:
        while True:
            try:
                return producer.emit(fields)
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


def _judge(fields: dict[str, Any]) -> None:
    """Judge an event as the producer does. Raises InvalidEvent."""
    now_ms = time.time_ns() // 1_000_000
    filled = {
        "id": uuid7(now_ms),
        "schema_version": SCHEMA_VERSION,
        "occurred_at": format_epoch_ms(now_ms),
        **{name: value for name, value in fields.items() if value is not None},
    }
    size_bytes = len(orjson.dumps(filled))
    if size_bytes > MAX_EVENT_BYTES:
        reason = f"{size_bytes:,} bytes; the limit is {MAX_EVENT_BYTES:,}"
        raise InvalidEvent(RejectCode.TOO_LARGE, None, reason)
    validate_fields(filled, size_bytes, broker_time_ms=now_ms)


def _in_source(error: InvalidEvent, fields: dict[str, Any], name: str) -> InvalidEvent:
    """Name the record's largest member where what has no place of its own is too large."""
    if error.field != "metadata":
        return error
    rest = fields.get("metadata", {}).get(name, {})
    sizes = {member: len(orjson.dumps(value)) for member, value in rest.items()}
    if not sizes:
        return error
    largest = max(sizes, key=lambda member: sizes[member])
    reason = f"{sizes[largest]:,} bytes, too large for metadata: {error.reason}"
    return InvalidEvent(error.code, largest[:100], reason)
