"""The partitions that one destination's consumer holds: where to begin, what to commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from auditbus.runtime import metrics
from auditbus.runtime.errors import KafkaUnreachable, OffsetLost
from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.lane import Lane

__all__ = ["Partitions"]

_TIMEOUT_S = 10.0
_log = get_logger(__name__)


class Partitions:
    """The lanes of a consumer, by partition. Not thread-safe; callbacks run inside its polls."""

    def __init__(
        self,
        consumer: Consumer,
        topic: str,
        group: str,
        *,
        topic_id: str,
        new_lane: Callable[[int, int], Lane],
        before_revoke: Callable[[Sequence[Lane]], None],
    ) -> None:
        """`new_lane(partition, start)` makes one; `before_revoke` may wait a moment for answers."""
        self.lanes: dict[int, Lane] = {}
        self._consumer = consumer
        self._topic = topic
        self._group = group
        self._topic_id = topic_id
        self._new_lane = new_lane
        self._before_revoke = before_revoke
        self._log = _log.bind(group=group)

    def subscribe(self) -> None:
        """Join the group."""
        self._consumer.subscribe(
            [self._topic],
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def commit(self, *, wait: bool) -> None:
        """Commit every position that moved; with `wait` until the broker has it.

        A commit that fails is no loss: the next one covers it, or the events come again.
        """
        moved = [lane for lane in self.lanes.values() if lane.watermark.position > lane.committed]
        if moved:
            self._commit(moved, wait=wait)

    def committed(self, error: object, partitions: Sequence[TopicPartition]) -> None:
        """Take the broker's answer to a commit (librdkafka's `on_commit`)."""
        for found in partitions:
            fault = error or found.error
            metrics.OFFSET_COMMITS.labels("failed" if fault else "committed").inc()
            lane = self.lanes.get(found.partition)
            if fault and lane is not None:
                lane.committed = min(lane.committed, lane.first)
                self._log.warning("commit_failed", partition=found.partition, error=str(fault))

    def steer(self, now: float, *, waiting: bool, over: bool = False) -> None:
        """Seek, pause and resume as the lanes want.

        `waiting`: nothing may be sent just now. `over`: no more may be held, but for what a batch
        lacks that is to be sent again.
        """
        for lane in self.lanes.values():
            if (offset := lane.take_seek(now)) is not None:
                self._consumer.seek(TopicPartition(self._topic, lane.partition, offset))
            pause = waiting or lane.wants_pause(now, over=over)
            if pause != lane.paused:
                where = [TopicPartition(self._topic, lane.partition)]
                (self._consumer.pause if pause else self._consumer.resume)(where)
                lane.paused = pause

    @property
    def positions(self) -> dict[int, int]:
        """The next offset to commit, by partition."""
        return {number: lane.watermark.position for number, lane in self.lanes.items()}

    def observe(self, sink: str) -> None:
        """Set the gauges."""
        metrics.UNCOMMITTED_OFFSET_GAP.labels(self._group).set(
            sum(lane.gap for lane in self.lanes.values())
        )
        oldest = [lane.oldest_ms for lane in self.lanes.values()]
        since = min((ms for ms in oldest if ms is not None and ms > 0), default=None)
        age_s = 0.0 if since is None else max(time.time() - since / 1000, 0.0)
        metrics.OLDEST_UNACKNOWLEDGED.labels(sink).set(age_s)
        for lane in self.lanes.values():
            where = TopicPartition(self._topic, lane.partition)
            _, high = self._consumer.get_watermark_offsets(where, cached=True)
            metrics.CONSUMER_LAG.labels(self._group, self._topic, str(lane.partition)).set(
                max(high - lane.watermark.position, 0)
            )

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Begin where each was committed. Right after a topic was made, Kafka may not know it yet.

        The client's exceptions must not leave a callback as they are: under Python 3.11 what
        reaches the caller of the poll is a bare KafkaError (`cfl_exception_fetch` drops the type of
        one that was not normalized), which is no BaseException, so that nothing catches it.
        """
        metrics.REBALANCES.labels("assigned").inc()
        try:
            self._assign(consumer, partitions)
        except KafkaException as error:
            raise KafkaUnreachable(
                f"{self._topic}: where to begin cannot be asked: {error.args[0]}"
            ) from error

    def _assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        starts = [
            TopicPartition(p.topic, p.partition, self._start(consumer, p))
            for p in consumer.committed(partitions, timeout=_TIMEOUT_S)
        ]
        for start in starts:
            self.lanes[start.partition] = self._new_lane(start.partition, start.offset)
        consumer.incremental_assign(starts)
        # The client keeps a pause over a rebalance, and a new lane does not know of one.
        consumer.resume(starts)

    def _start(self, consumer: Consumer, committed: TopicPartition) -> int:
        """Return where to begin: at the committed offset, or at the oldest event where none is.

        Kafka's own `auto.offset.reset` would also jump where retention deleted the committed
        offset, and nobody would know what was never delivered.
        """
        bounds = consumer.get_watermark_offsets(committed, timeout=_TIMEOUT_S)
        if bounds is None:
            raise KafkaException(f"no offsets of {committed.topic} within {_TIMEOUT_S:g} s")
        low, high = bounds
        if committed.offset == OFFSET_INVALID:
            return low
        if committed.metadata not in {None, "", self._topic_id}:
            self._log.warning("topic_made_anew", topic=self._topic, partition=committed.partition)
            return low
        if low <= committed.offset <= high:
            return committed.offset
        raise offset_lost(committed.topic, committed.partition, committed.offset, self._group)

    def _on_revoke(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        metrics.REBALANCES.labels("revoked").inc()
        leaving = [self.lanes[p.partition] for p in partitions if p.partition in self.lanes]
        self._before_revoke(leaving)
        moved = [lane for lane in leaving if lane.watermark.position > lane.committed]
        try:
            if moved:
                self._commit(moved, wait=True)
        finally:
            self._drop(partitions)

    def _on_lost(self, _consumer: Consumer, partitions: list[TopicPartition]) -> None:
        """Forget partitions that already are another's: a commit could only move it back."""
        metrics.REBALANCES.labels("lost").inc()
        self._drop(partitions)

    def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        for partition in partitions:
            if self.lanes.pop(partition.partition, None) is not None:
                labels = (self._group, self._topic, str(partition.partition))
                metrics.CONSUMER_LAG.remove(*labels)  # its next owner reports it

    def _commit(self, lanes: Sequence[Lane], *, wait: bool) -> None:
        # The id says of which topic the offset speaks, should there be another by the same name.
        offsets = [
            TopicPartition(self._topic, lane.partition, lane.watermark.position, self._topic_id)
            for lane in lanes
        ]
        for lane in lanes:
            lane.committed = lane.watermark.position
        try:
            if wait:
                self.committed(None, self._consumer.commit(offsets=offsets, asynchronous=False))
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self.committed(error.args[0], offsets)


def offset_lost(topic: str, partition: int, offset: int | None, group: str) -> OffsetLost:
    """Return the error that says what happened and what a person can do."""
    return OffsetLost(
        topic,
        partition,
        offset,
        "the next event to deliver is no longer in the topic: retention deleted it, or the topic "
        "was made anew. Nothing is skipped by itself; to go on from the oldest event, stop the "
        f"forwarder and run: kafka-consumer-groups --group {group} --topic {topic}:{partition} "
        "--reset-offsets --to-earliest --execute",
    )
