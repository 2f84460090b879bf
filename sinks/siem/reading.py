"""Reads one destination's topic: its consumer, and each message to the lane of its partition."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import cast

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from auditbus.runtime import metrics
from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings
from auditbus.sinks.siem.lane import Lane
from auditbus.sinks.siem.partitions import offset_lost
from auditbus.sinks.siem.records import Record

__all__ = ["Reader", "open_consumer"]

_log = get_logger(__name__)
_OFFSET_GONE = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001  # librdkafka's own codes are so named
_EVENTS = 500
# A fetch counts bytes as they travel: compressed events grow about so much.
_COMPRESSION = 8
_FETCH_MIN_BYTES = 64 * 1024


def open_consumer(
    kafka: KafkaSettings,
    group: str,
    queue_bytes: int,
    on_commit: Callable[[KafkaError | None, list[TopicPartition]], None],
) -> Consumer:
    """Return a consumer that fetches no more than about `queue_bytes` ahead.

    A larger event comes all the same, alone: Kafka never answers a fetch with less than one batch.
    """
    fetch_bytes = max(queue_bytes // _COMPRESSION, _FETCH_MIN_BYTES)
    return new_consumer(
        kafka,
        group,
        {
            "auto.offset.reset": "error",
            # By default 64 MB, and 50 MB in one answer: with twenty that would be the process.
            "queued.max.messages.kbytes": queue_bytes // 1024,
            "fetch.max.bytes": fetch_bytes,
            "fetch.message.max.bytes": fetch_bytes,
            # The client insists that it is no more than fetch.max.bytes; it bounds nothing here.
            "message.max.bytes": fetch_bytes,
            # By default a full queue keeps the client from fetching for a whole second.
            "fetch.queue.backoff.ms": 10,
            "on_commit": on_commit,
        },
    )


class Reader:
    """Belongs to the destination's consumer thread."""

    def __init__(
        self, consumer: Consumer, topic: str, group: str, lanes: Mapping[int, Lane]
    ) -> None:
        """Read through `consumer` into `lanes`, by partition, as they are at each read."""
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._lanes = lanes

    def read(self, wait_s: float) -> None:
        """Give each message to its lane; rebalances happen in here. Waits for `wait_s` at most.

        Every event of every destination passes here, so it is one plain loop. Raises OffsetLost,
        KafkaUnreachable.
        """
        messages = self._consumer.consume(_EVENTS, wait_s)
        now = time.monotonic()
        consumed: Counter[int] = Counter()
        lanes = self._lanes
        for message in messages:
            if (error := message.error()) is not None:
                self._check(error, message)
                continue
            # Without an error, both are numbers.
            partition: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            lane = lanes.get(partition)
            if lane is None or (start := lane.admit(offset)) is None:
                continue
            consumed[partition] += 1
            lane.add(_record(message, start, offset), now)
        for partition, count in consumed.items():
            metrics.CONSUMED_EVENTS.labels(self._topic, str(partition)).inc(count)

    def _check(self, error: KafkaError, message: Message) -> None:
        if error.code() == _OFFSET_GONE:
            partition = cast("int", message.partition())
            lane = self._lanes.get(partition)
            raise offset_lost(self._topic, partition, lane.read_next if lane else None, self._group)
        if error.fatal():
            raise KafkaUnreachable(f"{self._topic}: {error.str()}")
        # The client goes on trying by itself.
        _log.warning("kafka_read_error", group=self._group, error=error.str())


def _record(message: Message, start: int, offset: int) -> Record:
    found = message.headers() or ()
    headers = tuple(found.items() if isinstance(found, dict) else found)
    return Record(start, offset, message.timestamp()[1], message.key(), message.value(), headers)
