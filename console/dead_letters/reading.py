"""Read a dead-letter topic from its first record to its last, in constant memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.errors import KafkaUnreachable, TopicMisconfigured
from auditbus.runtime.kafka import new_admin, new_consumer
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_admin import describe_topics

__all__ = ["LetterFilter", "StoredLetter", "kafka_failure", "read_letters"]

_POLL_S = 1.0
_SILENCE_S = 30.0
_BATCH = 500


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """One dead letter and its own place; `timestamp_ms` is when it was written there."""

    partition: int
    offset: int
    timestamp_ms: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which dead letters; several values of one field mean any of them.

    `offsets` are ranges, both ends included. `since` is included, `until` is not.
    """

    codes: tuple[str, ...] = ()
    stages: tuple[str, ...] = ()
    offsets: tuple[tuple[int, int], ...] = ()
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, stored: StoredLetter) -> bool:
        """Tell whether `stored` is wanted."""
        return (
            (not self.codes or stored.letter.code in self.codes)
            and (not self.stages or stored.letter.stage in self.stages)
            and (
                not self.offsets
                or any(first <= stored.offset <= last for first, last in self.offsets)
            )
            and (self.since is None or stored.timestamp_ms >= self.since.timestamp() * 1000)
            and (self.until is None or stored.timestamp_ms < self.until.timestamp() * 1000)
        )


def read_letters(kafka: KafkaSettings, topic: str) -> Iterator[StoredLetter]:
    """Yield what is in `topic` now, each partition in order; what comes meanwhile is left out.

    Commits nothing. Raises KafkaUnreachable, and TopicMisconfigured where there is no such topic.
    """
    state = describe_topics(new_admin(kafka), [topic]).get(topic)
    if state is None:
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")
    consumer = new_consumer(kafka, "dead-letters.reader")
    try:
        ends = {}
        for partition in range(state.partitions):
            first, end = consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=_SILENCE_S
            )
            if first < end:
                ends[partition] = end
        consumer.assign([TopicPartition(topic, p, 0) for p in ends])
        yield from _read(consumer, ends)
    except KafkaException as error:
        raise kafka_failure(error) from error
    finally:
        consumer.close()


def kafka_failure(error: KafkaException) -> KafkaUnreachable:
    """Return the error that names the setting."""
    return KafkaUnreachable(
        f"Kafka does not answer: {error.args[0].str()}; check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS"
    )


def _read(consumer: Consumer, ends: dict[int, int]) -> Iterator[StoredLetter]:
    heard_at = time.monotonic()
    while ends:
        messages = consumer.consume(_BATCH, timeout=_POLL_S)
        if messages:
            heard_at = time.monotonic()
        elif time.monotonic() - heard_at > _SILENCE_S:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # its own code
        for message in messages:
            if (error := message.error()) is not None:
                raise KafkaException(error)
            partition, offset = message.partition(), message.offset()
            if partition is None or offset is None:  # no consumed message lacks them
                continue
            if partition in ends and offset < ends[partition]:
                yield StoredLetter(
                    partition, offset, message.timestamp()[1], DeadLetter.from_message(message)
                )
            if offset + 1 >= ends.get(partition, 0):
                ends.pop(partition, None)
