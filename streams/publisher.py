"""What the stream publishes, through one idempotent confluent-kafka producer.

Not through Faust's own producer: that one lets a commit pass a failed send.
"""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from auditbus.runtime.dead_letters import DeadLetter, DeadLetterWriter, Header
from auditbus.runtime.errors import DeliveryFailed
from auditbus.schemas.topics import TopicNames

__all__ = ["Publisher"]


class Publisher:
    """Publishes to the enriched, signals and dead letter topics; `flush` is the proof.

    `publish` and `dead_letter` block only while the producer's queue is full. `flush` may run in
    another thread than they do.
    """

    def __init__(self, producer: Producer, topics: TopicNames) -> None:
        """Publish through `producer` (idempotent, acks=all, reports failures only)."""
        self._producer = producer
        self._topics = topics
        self._dead_letters = DeadLetterWriter(producer, topics.dead_letters)
        self._failure: tuple[str, KafkaError] | None = None

    def publish(
        self, key: bytes, value: bytes, headers: Sequence[Header], *, is_signal: bool
    ) -> None:
        """Publish one enriched event, and to the signals as well where the catalogue says so."""
        self._produce(self._topics.enriched, key, value, headers)
        if is_signal:
            self._produce(self._topics.signals, key, value, headers)

    def dead_letter(self, letter: DeadLetter) -> None:
        """Keep a record that is no event."""
        self._dead_letters.write(letter)

    def serve_reports(self) -> None:
        """Run the callbacks of failed deliveries; raises DeliveryFailed if there was one."""
        self._producer.poll(0)
        self._raise_failure()

    def flush(self, timeout_s: float) -> None:
        """Block until the brokers have acknowledged everything published so far.

        Raises DeliveryFailed when one was refused or none came in time: then nothing of it may be
        committed.
        """
        self._dead_letters.flush(timeout_s)
        self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            topic, error = self._failure
            raise DeliveryFailed(f"{topic}: {error.str()}", topic=topic, may_retry=True)

    def _produce(self, topic: str, key: bytes, value: bytes, headers: Sequence[Header]) -> None:
        while True:
            try:
                self._producer.produce(
                    topic,
                    value,
                    key,
                    headers=list(headers) if headers else None,
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
                self._raise_failure()
            except KafkaException as error:
                raise DeliveryFailed(f"{topic}: {error.args[0].str()}", topic=topic) from error
            else:
                return

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failure = (message.topic() or "", error)
