"""From a batch to its settlement: stored, or in the dead letters; tried until it is one of both."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from confluent_kafka import Message

from auditbus.runtime import metrics
from auditbus.runtime.dead_letters import DeadLetter, DeadLetterWriter, Origin
from auditbus.runtime.errors import AuditbusError, DeliveryFailed, StoreRefused
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff
from auditbus.schemas.errors import RejectCode
from auditbus.sinks.clickhouse.batch import Batch, deduplication_token
from auditbus.sinks.clickhouse.bisect import Rejected, store_or_reject
from auditbus.sinks.clickhouse.error_codes import Verdict
from auditbus.sinks.clickhouse.writer import InsertFailed, Writer

__all__ = ["SINK", "STAGE", "Abandoned", "Delivery"]

STAGE = "clickhouse-sink"
SINK = "clickhouse"

_log = get_logger(__name__)


class Abandoned(AuditbusError):
    """The sink stops before the batch is settled; its offsets are not committed."""


class Delivery:
    """Settles batches, one at a time, in a thread of its own: it blocks while ClickHouse is down.

    `trouble` says in a few words what it is waiting for, or is None.
    """

    def __init__(
        self,
        writer: Writer,
        dead_letters: DeadLetterWriter,
        *,
        topic_id: str,
        new_backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        """Settle through `writer` and `dead_letters`; `topic_id` names the topic in tokens."""
        self._writer = writer
        self._dead_letters = dead_letters
        self._topic_id = topic_id
        self._abandoned = threading.Event()
        self._new_backoff = new_backoff
        self.trouble: str | None = None

    def settle(self, batch: Batch) -> None:
        """Return once every record is stored or in the dead letters, which Kafka has acknowledged.

        Raises StoreRefused where a person must act, and Abandoned after `abandon`.
        """
        rejected = store_or_reject(batch.records, self._insert)
        letters = [*map(_rejected_letter, rejected), *map(_empty_letter, batch.empty)]
        if letters:
            self._keep(letters)
        stored = len(batch.records) - len(rejected)
        metrics.SINK_ROWS.labels(SINK, "stored").inc(stored)
        metrics.SINK_ROWS.labels(SINK, "dead_letter").inc(len(letters))
        metrics.LAST_SUCCESS.labels(SINK).set_to_current_time()
        if batch.records:
            _, written_ms = batch.records[0].timestamp()
            age_s = max(time.time() - written_ms / 1000, 0)
            metrics.END_TO_END_LATENCY.labels(SINK).observe(age_s)

    def abandon(self) -> None:
        """End the waiting of a batch that cannot be settled now; any thread may call."""
        self._abandoned.set()

    def _insert(self, records: Sequence[Message]) -> None:
        """Insert one run of records, again and again while the store is in trouble."""
        values = [record.value() or b"" for record in records]
        token = deduplication_token(self._topic_id, records)
        backoff = self._new_backoff()
        while True:
            try:
                with (
                    metrics.INFLIGHT_REQUESTS.labels(SINK).track_inprogress(),
                    metrics.SINK_REQUEST.labels(SINK).time(),
                ):
                    self._writer.insert(values, token)
            except InsertFailed as failure:
                if failure.verdict is Verdict.POISON:
                    raise
                if failure.verdict is Verdict.STOP:
                    raise StoreRefused(
                        f"ClickHouse refuses the insert ({failure.name.upper()}): {failure.text}; "
                        "see `auditbus doctor`"
                    ) from failure
                metrics.SINK_RETRIES.labels(failure.name).inc()
                self._wait(backoff, f"ClickHouse: {failure.name}: {failure.text}")
            else:
                metrics.BATCH_ROWS.labels(SINK).observe(len(values))
                self._recovered()
                return

    def _keep(self, letters: Sequence[DeadLetter]) -> None:
        """Write dead letters and see them acknowledged: one that cannot be written blocks."""
        backoff = self._new_backoff()
        while True:
            try:
                for letter in letters:
                    self._dead_letters.write(letter)
                self._dead_letters.flush()
            except DeliveryFailed as failure:
                self._wait(backoff, f"dead letters: {failure}")
            else:
                self._recovered()
                return

    def _wait(self, backoff: Backoff, trouble: str) -> None:
        if self.trouble is None:
            _log.warning("sink_waits", trouble=trouble)
        self.trouble = trouble
        if self._abandoned.wait(backoff.next_delay_s()):
            raise Abandoned(trouble)

    def _recovered(self) -> None:
        if self.trouble is not None:
            _log.info("sink_recovered", from_trouble=self.trouble)
            self.trouble = None


def _rejected_letter(rejected: Rejected) -> DeadLetter:
    return _letter(rejected.record, rejected.code, rejected.reason)


def _empty_letter(message: Message) -> DeadLetter:
    if message.value() is None:
        return _letter(message, RejectCode.TOMBSTONE, "a record without a value is no event")
    return _letter(message, RejectCode.EMPTY, "the value is empty")


def _letter(message: Message, code: str, reason: str) -> DeadLetter:
    headers = message.headers() or ()
    _, timestamp_ms = message.timestamp()
    origin = Origin(
        message.topic() or "", message.partition() or 0, message.offset() or 0, timestamp_ms
    )
    return DeadLetter(
        value=message.value(),
        key=message.key(),
        headers=tuple(headers.items() if isinstance(headers, dict) else headers),
        code=str(code),
        reason=reason,
        stage=STAGE,
        origin=origin,
    )
