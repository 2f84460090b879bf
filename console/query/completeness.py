"""Up to when is the log complete? From the consumers' real lag, so it never promises too much.

Every event that Kafka received before T is stored, or is a dead letter. T is when the oldest event
was received that the stream or the sink has not yet acknowledged; where both have caught up, the
moment of asking. The stream is asked before the sink: what it passed on in between only lowers T.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from confluent_kafka import KafkaException, TopicPartition

from auditbus.runtime.consumer_groups import GroupProgress, group_progress
from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings
from auditbus.schemas.enriched import decode_enriched
from auditbus.schemas.errors import InvalidEvent
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.sinks.clickhouse.consumer import GROUP as SINK_GROUP

__all__ = ["Completeness", "CompletenessWatch", "complete_up_to"]

_log = get_logger(__name__)
STREAM_GROUP = "stream"
_TIMEOUT_S = 5.0
_FRESH_S = 5.0
_OLD_S = 30.0  # then it is worth waiting for what is newer
_PATIENCE_S = 1.5
# The brokers' clocks, which say when an event was received, may be behind this one by so much.
_CLOCKS_DIFFER_BY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Completeness:
    """`up_to` speaks of `received_at`; where it is None, `reason` says why nobody knows."""

    up_to: datetime | None
    reason: str | None = None


def complete_up_to(kafka: KafkaSettings) -> datetime | None:
    """Return T, in UTC; None where an unread event does not say when it was received.

    Blocks for a few round trips. Raises KafkaUnreachable.
    """
    asked = datetime.now(UTC) - _CLOCKS_DIFFER_BY
    pending: list[datetime | None] = [asked]
    topics = kafka.topics
    for group, topic, is_enriched in (
        (STREAM_GROUP, topics.events, False),
        (SINK_GROUP, topics.enriched, True),
    ):
        progress = group_progress(kafka, group, topic, timeout_s=_TIMEOUT_S)
        late = [item for item in progress if item.lag]
        pending += _received(kafka, topic, late, is_enriched=is_enriched)
    known = [moment for moment in pending if moment is not None]
    return min(known) if len(known) == len(pending) else None


def _received(
    kafka: KafkaSettings, topic: str, late: Sequence[GroupProgress], *, is_enriched: bool
) -> list[datetime | None]:
    """Return when the first unread event of each partition was received by Kafka."""
    if not late:
        return []
    consumer = new_consumer(kafka, "completeness")
    found: dict[int, datetime | None] = {}
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        consumer.assign(
            [
                TopicPartition(topic, item.partition, max(item.begin, item.committed or 0))
                for item in late
            ]
        )
        while len(found) < len(late):
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                partition = message.partition() or 0
                if partition not in found:
                    value = message.value() or b""
                    stamp = datetime.fromtimestamp(message.timestamp()[1] / 1000, UTC)
                    found[partition] = _received_at(value) if is_enriched else stamp
                    consumer.pause([TopicPartition(topic, partition)])
            elif time.monotonic() > deadline:
                raise KafkaUnreachable(f"Kafka does not give the first unread event of {topic}")
    except KafkaException as error:
        raise KafkaUnreachable(f"Kafka does not give an event of {topic}") from error
    finally:
        consumer.close()
    return list(found.values())


def _received_at(value: bytes) -> datetime | None:
    try:
        return parse_rfc3339(decode_enriched(value).received_at)
    except (InvalidEvent, ValueError):
        return None


@dataclass(slots=True)
class CompletenessWatch:
    """Knows T for those who ask often: asks Kafka at most every few seconds, in a thread.

    What it knows is at most as late as the truth when a query begins, so it is never wrong.
    """

    kafka: KafkaSettings
    clock: Callable[[], float] = time.monotonic
    _known: Completeness = field(default=Completeness(None, "not asked yet"), init=False)
    _known_s: float = field(default=float("-inf"), init=False)
    _asking: threading.Thread | None = field(default=None, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def now(self) -> Completeness:
        """Return what is known. Waits for Kafka only where nothing new is known, and not long."""
        with self._lock:
            age_s = self.clock() - self._known_s
            if age_s >= _FRESH_S and self._asking is None:
                self._asking = threading.Thread(target=self._ask, name="completeness", daemon=True)
                self._asking.start()
            asking = self._asking
        if asking is not None and (self._known.up_to is None or age_s > _OLD_S):
            asking.join(_PATIENCE_S)
        return self._known

    def _ask(self) -> None:
        try:
            moment = complete_up_to(self.kafka)
            known = Completeness(moment, None if moment else "an unread event has no time")
        except KafkaUnreachable:
            known = Completeness(None, "Kafka does not answer")
        except Exception:  # noqa: BLE001  # the answer must not depend on it
            _log.exception("completeness_failed")
            known = Completeness(None, "it could not be found out")
        with self._lock:
            self._known, self._known_s, self._asking = known, self.clock(), None
