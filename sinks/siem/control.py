"""What stands in `audit.forwarder.control`, the compacted topic between commands and forwarders.

    pause/NAME              a Pause         by `auditbus destinations pause|resume`
    status/NAME/INSTANCE    a Status        by each forwarder process, every few seconds
    replay/NAME/ID          how far a replay went; by `auditbus destinations replay`

A record without a value takes its key back. Any forwarder and command may read all of it; what
cannot be read is left alone, so that versions may differ.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TypeVar

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from auditbus.runtime.errors import DeliveryFailed, KafkaUnreachable, TopicMisconfigured
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.settings import KafkaSettings
from auditbus.schemas.resolved import resolved
from auditbus.sinks.siem.standing import State, Trouble
from auditbus.sinks.siem.tally import Counts

__all__ = [
    "ControlReader",
    "ControlWriter",
    "Pause",
    "Status",
    "decode",
    "pause_key",
    "read_control",
    "status_key",
]

# A topic that was just made has no leader, or is not known to every broker, for a moment.
_YOUNG_S, _LOOK_AGAIN_S = 2.0, 0.1
_TIMEOUT_S = 15.0
_BATCH = 500
# A poll returns when it has a full batch or this is over, even at the end of the topic.
_CATCH_UP_S = 0.1
_AT_END = KafkaError._PARTITION_EOF  # noqa: SLF001  # librdkafka's own codes are so named
_Record = TypeVar("_Record")


@resolved
class Pause(msgspec.Struct, frozen=True):
    """Whether a destination may send. `at_ms` in milliseconds since 1970."""

    paused: bool
    at_ms: int


@resolved
class Status(msgspec.Struct, frozen=True, kw_only=True):
    """One destination as one forwarder process last saw it. Times in milliseconds since 1970."""

    destination: str
    instance: str
    """Host and health port of the process."""
    kind: str
    topic: str
    """enriched or raw."""
    state: State
    trouble: str | None
    """What is wrong just now."""
    since_ms: int
    """When the process began, and its counts."""
    at_ms: int
    last_success_ms: int | None
    last_error: Trouble | None
    counts: Counts
    positions: dict[int, int]
    """The next offset to commit, by partition held."""


def pause_key(destination: str) -> str:
    """Return the key of a destination's Pause."""
    return f"pause/{destination}"


def status_key(destination: str, instance: str) -> str:
    """Return the key of a destination's Status."""
    return f"status/{destination}/{instance}"


def decode(kind: type[_Record], value: bytes) -> _Record | None:
    """Return the record, None where it is none that this version knows."""
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


class ControlReader:
    """Reads the topic from its beginning, and goes on. Commits nothing. Not thread-safe."""

    def __init__(self, kafka: KafkaSettings) -> None:
        """Open the topic. Raises TopicMisconfigured where it is missing, KafkaUnreachable."""
        topic = kafka.topics.forwarder_control
        self._consumer: Consumer = new_consumer(
            kafka, "forwarder.control", {"enable.partition.eof": True}
        )
        try:
            self._unread = self._partitions(topic)
            self._consumer.assign(
                [TopicPartition(topic, number, OFFSET_BEGINNING) for number in self._unread]
            )
        except BaseException:
            self._consumer.close()
            raise

    @property
    def is_at_end(self) -> bool:
        """Whether everything that was there at the beginning has been read."""
        return not self._unread

    def poll(self, timeout_s: float) -> Iterator[tuple[str, bytes | None]]:
        """Yield keys and values that came within `timeout_s` seconds."""
        for message in self._consumer.consume(_BATCH, timeout_s):
            if (error := message.error()) is None:
                yield (message.key() or b"").decode(errors="replace"), message.value()
            elif error.code() == _AT_END:
                self._unread.discard(message.partition() or 0)
            elif error.fatal():
                raise _unreachable(error)

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def _partitions(self, topic: str) -> set[int]:
        deadline = time.monotonic() + _YOUNG_S
        while True:
            try:
                described = self._consumer.list_topics(topic, timeout=_TIMEOUT_S).topics[topic]
            except KafkaException as error:
                raise _unreachable(error.args[0]) from error
            if described.error is None:
                return set(described.partitions)
            if time.monotonic() > deadline:
                break
            time.sleep(_LOOK_AGAIN_S)
        if described.error.code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise _unreachable(described.error)
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")


def read_control(kafka: KafkaSettings) -> dict[str, bytes]:
    """Return the newest value of every key. Raises KafkaUnreachable, TopicMisconfigured."""
    found: dict[str, bytes] = {}
    reader = ControlReader(kafka)
    deadline = time.monotonic() + _TIMEOUT_S
    try:
        while not reader.is_at_end:
            if time.monotonic() > deadline:
                raise _unreachable(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001  # as above
            for key, value in reader.poll(_CATCH_UP_S):
                if value is None:
                    found.pop(key, None)
                else:
                    found[key] = value
    finally:
        reader.close()
    return found


class ControlWriter:
    """Writes records; safe to use from several threads."""

    def __init__(self, producer: Producer, topic: str) -> None:
        """Write to `topic` through `producer`."""
        self._producer = producer
        self._topic = topic

    def put(self, key: str, record: msgspec.Struct | None) -> None:
        """Hand over one record, None to take the key back; what does not fit is left out.

        Statuses come again soon; who must know calls `put_now`.
        """
        try:
            self._produce(key, record)
        except (BufferError, KafkaException):
            return
        self._producer.poll(0)

    def put_now(self, key: str, record: msgspec.Struct | None) -> None:
        """Write one record and wait for Kafka's acknowledgement. Raises DeliveryFailed."""
        failures: list[KafkaError] = []

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            if error is not None:
                failures.append(error)

        try:
            self._produce(key, record, on_delivery)
        except (BufferError, KafkaException) as error:
            raise DeliveryFailed(f"not written: {error}", topic=self._topic) from error
        left = self._producer.flush(_TIMEOUT_S)
        if failures or left:
            reason = failures[0].str() if failures else f"no answer within {_TIMEOUT_S:g} s"
            raise DeliveryFailed(f"not written: {reason}", topic=self._topic, may_retry=True)

    def flush(self, timeout_s: float) -> None:
        """Wait for what was put, `timeout_s` seconds at most."""
        self._producer.flush(timeout_s)

    def _produce(
        self,
        key: str,
        record: msgspec.Struct | None,
        on_delivery: object = None,
    ) -> None:
        value = None if record is None else msgspec.json.encode(record)
        self._producer.produce(self._topic, value, key.encode(), on_delivery=on_delivery)  # type: ignore[arg-type]  # None is fine


def _unreachable(error: KafkaError) -> KafkaUnreachable:
    return KafkaUnreachable(
        f"Kafka does not answer: {error.str()}; check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS"
    )
