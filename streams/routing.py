"""Where each record of a batch goes: enriched and signals, or the dead letters."""

from __future__ import annotations

from collections.abc import Sequence

from auditbus.runtime import metrics
from auditbus.runtime.dead_letters import DeadLetter, Origin
from auditbus.runtime.logging import get_logger
from auditbus.schemas.errors import InvalidEvent
from auditbus.streams.enrichment.splice import Enricher
from auditbus.streams.publisher import Publisher
from auditbus.streams.records import Record, Records

__all__ = ["STAGE", "Router"]

STAGE = "stream"
TOO_LARGE_ENRICHED = "too_large_enriched"
UNTRUSTED_TIMESTAMP = "untrusted_timestamp"
_LOG_APPEND_TIME = 1
# What a record's batch adds to its bytes on the broker, generously; and what a header adds.
_RECORD_OVERHEAD_BYTES = 1024
_HEADER_OVERHEAD_BYTES = 8

_log = get_logger(__name__)


class Router:
    """Routes batches. A record that is no event costs only itself."""

    def __init__(
        self,
        enricher: Enricher,
        publisher: Publisher,
        *,
        max_enriched_bytes: int,
        require_log_append_time: bool = True,
    ) -> None:
        """`max_enriched_bytes` is the enriched topic's max.message.bytes."""
        self._enrich = enricher.enrich
        self._publisher = publisher
        self._max_record_bytes = max_enriched_bytes - _RECORD_OVERHEAD_BYTES
        self._require_log_append_time = require_log_append_time

    def route(self, topic: str, partition: int, records: Records) -> None:
        """Enrich and publish the records of one fetch of one partition, in order.

        Blocks the caller for about 10 µs a record. Raises DeliveryFailed.
        """
        enrich, publish = self._enrich, self._publisher.publish
        check_timestamp = self._require_log_append_time

        def refuse(record: Record, code: str, reason: str) -> None:
            origin = Origin(topic, partition, record.offset, record.timestamp)
            self._publisher.dead_letter(dead_letter_of(record, origin, code, reason))
            _log.info("event_refused", code=str(code), partition=partition, offset=record.offset)

        for record in records:
            if check_timestamp and record.timestamp_type != _LOG_APPEND_TIME:
                # Written while the topic was not as the worker found it: received_at would be the
                # client's choice. A replay gives it the broker's time.
                refuse(record, UNTRUSTED_TIMESTAMP, "its timestamp is the client's; replay it")
                continue
            try:
                key, value, is_signal = enrich(
                    record.value, topic, partition, record.offset, record.timestamp
                )
            except InvalidEvent as error:
                refuse(record, error.code, str(error))
                continue
            size = len(key) + len(value)
            if record.headers:
                size += _headers_bytes(record.headers)
            if size > self._max_record_bytes:
                refuse(
                    record,
                    TOO_LARGE_ENRICHED,
                    f"{size:,} bytes enriched; the topic takes {self._max_record_bytes:,}: "
                    "raise its max.message.bytes and replay",
                )
                continue
            publish(key, value, record.headers, is_signal=is_signal)
        self._publisher.serve_reports()
        metrics.CONSUMED_EVENTS.labels(topic, partition).inc(len(records))


def _headers_bytes(headers: Sequence[tuple[str, bytes | None]]) -> int:
    return sum(
        len(name.encode()) + len(value or b"") + _HEADER_OVERHEAD_BYTES for name, value in headers
    )


def dead_letter_of(record: Record, origin: Origin, code: str, reason: str) -> DeadLetter:
    """Return the dead letter of one record, its bytes unchanged."""
    return DeadLetter(
        value=record.value,
        key=record.key,
        headers=tuple(record.headers),
        code=str(code),
        reason=reason,
        stage=STAGE,
        origin=origin,
    )
