"""Publish dead letters again, as they were, to the topic they came from.

Repeating is safe: an event's id is the deduplication key everywhere. To spare destinations what
they had already, a replay remembers how far it went for each error code, as the committed offset
of the consumer group `dead-letters.replay.CODE` (Kafka forgets it after the broker's
`offsets.retention.minutes`, 7 days unless changed). What is refused again is a new dead letter
behind that offset, and belongs to the next replay.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from confluent_kafka import (
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from auditbus.console.dead_letters.reading import (
    LetterFilter,
    StoredLetter,
    kafka_failure,
    read_letters,
)
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.errors import DeliveryFailed
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import KafkaSettings

__all__ = ["Replay", "ReplayPlan"]

_BATCH = 500
_FLUSH_S = 60.0
_REQUEST_S = 15.0
_NOT_IN_A_GROUP_NAME = re.compile(r"[^A-Za-z0-9._-]")


@dataclass(slots=True)
class ReplayPlan:
    """What a replay would do: letters by code, those replayed before, those it cannot place."""

    by_code: Counter[str] = field(default_factory=Counter)
    replayed_before: int = 0
    foreign_origin: int = 0

    @property
    def total(self) -> int:
        """Count the letters to publish."""
        return self.by_code.total()


class Replay:
    """One replay of the dead letters that `wanted` describes.

    `again` replays what was replayed before, too. With offsets given, the memory is neither asked
    nor moved: who names offsets means them. Methods raise KafkaUnreachable, TopicMisconfigured.
    """

    def __init__(self, kafka: KafkaSettings, wanted: LetterFilter, *, again: bool = False) -> None:
        """Remember; nothing is read yet."""
        self._kafka = kafka
        # Held: the answer to a request never comes once its client is gone.
        self._admin = new_admin(kafka)
        self._topic = kafka.topics.dead_letters
        self._wanted = wanted
        self._remembers = not wanted.offsets
        self._again = again
        # Only these belong to this pipeline: a header may name any topic of the cluster.
        self._origins = {kafka.topics.events, kafka.topics.enriched}
        self._positions: dict[str, dict[int, int]] = {}
        self._ends: dict[int, int] = {}

    def plan(self) -> ReplayPlan:
        """Count without publishing."""
        plan = ReplayPlan()
        for stored in read_letters(self._kafka, self._topic):
            self._ends[stored.partition] = stored.offset + 1
            if not self._wanted.matches(stored):
                continue
            if self._was_replayed(stored):
                plan.replayed_before += 1
            elif stored.letter.origin.topic not in self._origins:
                plan.foreign_origin += 1
            else:
                plan.by_code[stored.letter.code] += 1
        return plan

    def run(self, on_published: Callable[[int], object]) -> int:
        """Publish what `plan` counted, and nothing that came since; return how many.

        `on_published` is called with the count of each batch, once Kafka has acknowledged it and
        the memory has moved. Raises DeliveryFailed where a letter was not acknowledged; run it
        again then.
        """
        producer = _Publisher(new_producer(self._kafka))
        published = 0
        batch: list[StoredLetter] = []
        for stored in self._planned():
            producer.publish(stored)
            batch.append(stored)
            if len(batch) == _BATCH:
                published += self._settle(producer, batch, on_published)
        return published + self._settle(producer, batch, on_published)

    def _planned(self) -> Iterator[StoredLetter]:
        for stored in read_letters(self._kafka, self._topic):
            if (
                stored.offset < self._ends.get(stored.partition, 0)
                and self._wanted.matches(stored)
                and stored.letter.origin.topic in self._origins
                and not self._was_replayed(stored)
            ):
                yield stored

    def _settle(
        self,
        producer: _Publisher,
        batch: list[StoredLetter],
        on_published: Callable[[int], object],
    ) -> int:
        producer.flush()
        if self._remembers:
            self._remember(batch)
        settled = len(batch)
        batch.clear()
        on_published(settled)
        return settled

    def _was_replayed(self, stored: StoredLetter) -> bool:
        if self._again or not self._remembers:
            return False
        positions = self._position(stored.letter.code)
        return stored.offset < positions.get(stored.partition, 0)

    def _position(self, code: str) -> dict[int, int]:
        """Return the offset behind the last replayed letter of `code`, by partition.

        Read once: what this replay itself publishes must not count as replayed before.
        """
        if code not in self._positions:
            progress = group_progress(self._kafka, _group(code), self._topic)
            self._positions[code] = {
                part.partition: part.committed for part in progress if part.committed is not None
            }
        return self._positions[code]

    def _remember(self, batch: list[StoredLetter]) -> None:
        moved: dict[str, dict[int, int]] = {}
        for stored in batch:
            code = stored.letter.code
            if stored.offset >= self._position(code).get(stored.partition, 0):
                moved.setdefault(code, {})[stored.partition] = stored.offset + 1
        for code, places in moved.items():
            group = self._kafka.group(_group(code))
            offsets = [
                TopicPartition(self._topic, partition, offset)
                for partition, offset in places.items()
            ]
            moving = self._admin.alter_consumer_group_offsets(
                [ConsumerGroupTopicPartitions(group, offsets)], request_timeout=_REQUEST_S
            )
            try:
                moving[group].result()
            except KafkaException as error:
                raise kafka_failure(error) from error


def _group(code: str) -> str:
    return f"dead-letters.replay.{_NOT_IN_A_GROUP_NAME.sub('_', code)}"


class _Publisher:
    """Publishes originals; `flush` is the proof that all are written."""

    def __init__(self, producer: Producer) -> None:
        self._producer = producer
        self._failure: KafkaError | None = None

    def publish(self, stored: StoredLetter) -> None:
        """Hand over the original value, key and headers; blocks while the queue is full."""
        letter = stored.letter
        while True:
            try:
                self._producer.produce(
                    letter.origin.topic,
                    value=letter.value,
                    key=letter.key,
                    headers=list(letter.headers),
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise self._failed(error.args[0]) from error
            else:
                return

    def flush(self) -> None:
        """Block until all are acknowledged; DeliveryFailed where one was not."""
        left = self._producer.flush(_FLUSH_S)
        if self._failure is not None:
            raise self._failed(self._failure)
        if left:
            raise DeliveryFailed(
                f"{left} dead letters not acknowledged; run the replay again", may_retry=True
            )

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        self._failure = self._failure or error

    def _failed(self, error: KafkaError) -> DeliveryFailed:
        return DeliveryFailed(f"not replayed: {error.str()}; run it again", may_retry=True)
