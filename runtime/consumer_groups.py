"""How far a consumer group has come, asked without joining it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, TopicPartition

from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.settings import KafkaSettings

__all__ = ["GroupProgress", "group_progress"]

_RETRY_S = 0.2


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """One partition: `committed` is the next offset to read, None where nothing is committed.

    `begin` and `end` are the first offset that is there and the one after the last.
    """

    partition: int
    committed: int | None
    begin: int
    end: int

    @property
    def lag(self) -> int:
        """Records not yet handled."""
        # Never less than none: Tansu tells wrong ends.
        return max(0, self.end - max(self.begin, self.committed or 0))


def group_progress(
    kafka: KafkaSettings, group: str, topic: str, *, timeout_s: float = 15.0
) -> list[GroupProgress]:
    """Return the progress of `group` (prefix added) on every partition of `topic`.

    Empty when the topic does not exist. Raises KafkaUnreachable when there is no answer in time.

    AdminClient.list_consumer_group_offsets would be the direct way, but librdkafka 2.16 crashes
    the process (SIGSEGV in rd_kafka_cgrp_op) when the coordinator answers with a retriable error.
    """
    deadline = time.monotonic() + timeout_s
    consumer = new_consumer(kafka, group)
    try:
        while True:
            try:
                return _ask(consumer, topic, timeout_s=max(1.0, deadline - time.monotonic()))
            except KafkaException as error:
                if time.monotonic() > deadline:  # until then, say, a coordinator that loads
                    raise KafkaUnreachable(
                        f"Kafka does not say how far group {group} is: {error.args[0].str()}; "
                        "check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS"
                    ) from error
            time.sleep(_RETRY_S)
    finally:
        consumer.close()


def _ask(consumer: Consumer, topic: str, *, timeout_s: float) -> list[GroupProgress]:
    described = consumer.list_topics(topic, timeout=timeout_s).topics[topic]
    if described.error is not None:
        return []
    partitions = [TopicPartition(topic, number) for number in sorted(described.partitions)]
    found = []
    for position in consumer.committed(partitions, timeout=timeout_s):
        begin, end = consumer.get_watermark_offsets(position, timeout=timeout_s)
        committed = position.offset if position.offset >= 0 else None
        found.append(GroupProgress(position.partition, committed, begin, end))
    return found
