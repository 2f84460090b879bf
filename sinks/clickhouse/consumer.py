"""The sink's place in Kafka: which partitions it owns, from where it reads, what it commits.

Three losses are ruled out here. A committed offset that retention has deleted stops the sink: it
never jumps. A topic that was deleted and made anew is read from its beginning, though its offsets
repeat: each commit carries the topic's id. And what was read under one assignment is never
committed under a later one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from auditbus.runtime import metrics
from auditbus.runtime.errors import KafkaUnreachable, OffsetLost
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings

__all__ = ["GROUP", "TopicConsumer"]

GROUP = "clickhouse-sink"
_TIMEOUT_S = 15.0
_COMMIT_AGAIN_S = 1.0
_log = get_logger(__name__)


class TopicConsumer:
    """One consumer of one topic; every method is for one thread.

    `assignments` numbers the owned partitions' assignments: a partition that went and came back
    has another number. `has_joined` is set with the first assignment, which may be empty.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        *,
        topic: str,
        topic_id: str,
        before_revoke: Callable[[set[int]], None],
        overrides: Mapping[str, object] | None = None,
    ) -> None:
        """Join the group; `before_revoke` may still commit, and then must forget the partitions."""
        self.topic = topic
        self._topic_id = topic_id
        self._group = kafka.group(GROUP)
        self._before_revoke = before_revoke
        self._count = 0
        self._paused = False
        self._uncommitted: dict[int, int] = {}
        self._commit_tried_at = 0.0
        self.assignments: dict[int, int] = {}
        self.has_joined = False
        self._consumer: Consumer = new_consumer(
            kafka,
            GROUP,
            {
                # Never a silent jump; the first start from the oldest event is _on_assign's.
                "auto.offset.reset": "error",
                "on_commit": self._on_commit,
                "queued.max.messages.kbytes": 32 * 1024,
                **(overrides or {}),
            },
        )
        self._consumer.subscribe(
            [topic], on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )

    def read(self, most: int, timeout_s: float) -> list[Message]:
        """Return up to `most` records, waiting at most `timeout_s`; serves rebalances.

        Raises OffsetLost, and KafkaUnreachable for what librdkafka cannot mend by itself.
        """
        messages = self._consumer.consume(most, timeout_s)
        if self._uncommitted and time.monotonic() - self._commit_tried_at > _COMMIT_AGAIN_S:
            self._commit(wait=False)
        errors = [message for message in messages if message.error() is not None]
        for message in errors:
            self._judge(message)
        return [m for m in messages if m.error() is None] if errors else messages

    def pause(self) -> None:
        """Stop reading what is owned now; keeps membership while `read` is called."""
        owned = self._consumer.assignment()
        if owned and not self._paused:
            self._consumer.pause(owned)
            self._paused = True

    def resume(self) -> None:
        """Go on reading."""
        if self._paused:
            self._consumer.resume(self._consumer.assignment())
            self._paused = False

    def commit(
        self, next_offsets: Mapping[int, int], read_under: Mapping[int, int], *, wait: bool = False
    ) -> None:
        """Commit the offsets of partitions that are still owned under the same assignment.

        Without `wait`, one that fails (a rebalance is under way) is tried again by later reads.
        """
        self._uncommitted.update(
            (partition, offset)
            for partition, offset in next_offsets.items()
            if self.assignments.get(partition, 0) == read_under.get(partition, -1)
        )
        if self._uncommitted:
            self._commit(wait=wait)

    def _commit(self, *, wait: bool) -> None:
        self._commit_tried_at = time.monotonic()
        offsets = [
            TopicPartition(self.topic, partition, offset, self._topic_id)
            for partition, offset in self._uncommitted.items()
        ]
        try:
            if wait:
                self._on_commit(None, self._consumer.commit(offsets=offsets, asynchronous=False))
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], offsets)

    def _on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        metrics.OFFSET_COMMITS.labels("error" if error else "ok").inc()
        if error is not None:
            _log.warning("offset_commit_failed", error=error.str())
            return
        for done in offsets:
            if done.error is None and self._uncommitted.get(done.partition) == done.offset:
                del self._uncommitted[done.partition]

    def lag(self) -> dict[int, int]:
        """Return the records not yet read, by partition, from what the last fetches said."""
        found = {}
        for position in self._consumer.position(self._consumer.assignment()):
            low_high = self._consumer.get_watermark_offsets(position, cached=True)
            if low_high is not None and position.offset >= 0 <= low_high[1]:
                found[position.partition] = max(0, low_high[1] - position.offset)
        return found

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        metrics.REBALANCES.labels("assigned").inc(len(partitions))
        try:
            committed = consumer.committed(partitions, timeout=_TIMEOUT_S) if partitions else []
        except KafkaException as error:
            raise _unreachable(error.args[0]) from error
        for found in committed:
            # Metadata of another id: the topic was made anew. None: an operator set the offset.
            stale = found.metadata not in {None, "", self._topic_id}
            if found.offset < 0 or stale:
                found.offset = OFFSET_BEGINNING
            self._count += 1
            self.assignments[found.partition] = self._count
        try:
            consumer.incremental_assign(committed)
            # The client keeps a pause over a rebalance: it must not outlive its reason.
            (consumer.pause if self._paused else consumer.resume)(committed)
        except KafkaException as error:
            # As it is, it would leave the poll as a bare KafkaError, which nothing catches.
            raise _unreachable(error.args[0]) from error
        self.has_joined = True

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        metrics.REBALANCES.labels("revoked").inc(len(partitions))
        self._before_revoke({item.partition for item in partitions})
        self._forget(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        # Somebody else may own them already: too late for a commit.
        metrics.REBALANCES.labels("lost").inc(len(partitions))
        self._forget(partitions)
        self._before_revoke({item.partition for item in partitions})

    def _forget(self, partitions: Collection[TopicPartition]) -> None:
        for item in partitions:
            self.assignments.pop(item.partition, None)
            self._uncommitted.pop(item.partition, None)

    def _judge(self, message: Message) -> None:
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
            return
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            raise OffsetLost(
                self.topic,
                message.partition() or 0,
                message.offset(),
                "the committed offset is no longer in the topic; events may be lost. To go on, "
                f"stop the sinks and run: kafka-consumer-groups --group {self._group} "
                f"--topic {self.topic} --reset-offsets --to-earliest --execute",
            )
        if error.fatal():
            raise _unreachable(error)
        _log.warning("kafka_consumer_error", error=error.str(), topic=self.topic)


def _unreachable(error: KafkaError) -> KafkaUnreachable:
    return KafkaUnreachable(f"Kafka: {error.str()}; check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS")
