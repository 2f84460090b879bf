"""The sink's consumer in a group: what it owns is read, whatever befell it before."""

from __future__ import annotations

from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.consumer import TopicConsumer
from tests.backends.parts import Kafka
from tests.pipeline import environment_of, publish_events, settings_with_topics, wait_until


def _consumer(settings: Settings) -> TopicConsumer:
    return TopicConsumer(
        settings.kafka,
        topic=settings.kafka.topics.events,
        topic_id="id",
        before_revoke=lambda _: None,
    )


def test_a_partition_that_leaves_while_it_is_paused_and_comes_back_is_read(
    kafka: Kafka, unique_prefix: str
) -> None:
    """The client keeps a pause over a rebalance: such a partition once stood still for ever."""
    settings = settings_with_topics(environment_of(kafka.bootstrap_servers, unique_prefix))
    partitions = set(range(settings.kafka.partitions))
    first = _consumer(settings)
    wait_until(
        lambda: first.read(10, 0.1) == [] and first.assignments.keys() == partitions,
        deadline_s=30,
        what="the first owns all",
    )
    first.pause()
    second = _consumer(settings)
    wait_until(
        lambda: (
            first.read(10, 0.1) == [] and second.read(10, 0.1) == [] and bool(second.assignments)
        ),
        deadline_s=40,
        what="the second owns some",
    )
    first.resume()
    second.close()
    publish_events(settings, 400)
    seen: set[int | None] = set()

    def all_are_read() -> bool:
        seen.update(message.partition() for message in first.read(500, 0.1))
        return seen == partitions

    wait_until(all_are_read, deadline_s=40, what="every partition is read")
    first.close()
