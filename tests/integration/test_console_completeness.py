"""Up to when the log is complete, from the real lag of the stream and the sink on a real broker."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import TopicPartition

from auditbus.console.query.completeness import STREAM_GROUP, CompletenessWatch, complete_up_to
from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.settings import KafkaSettings, Settings
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.sinks.clickhouse.consumer import GROUP as SINK_GROUP
from auditbus.streams.app import CONSUMER_GROUP
from tests.backends.parts import Kafka
from tests.pipeline import (
    environment_of,
    publish_events,
    read_topic,
    settings_with_topics,
    wait_until,
)
from tests.sinks import publish
from tests.store import days_ago, encode, enriched_event


@pytest.fixture
def settings(kafka: Kafka, unique_prefix: str) -> Settings:
    return settings_with_topics(environment_of(kafka.bootstrap_servers, unique_prefix))


def _commit(settings: Settings, group: str, topic: str) -> None:
    """Commit all that is there, as if it had been handled."""
    consumer = new_consumer(settings.kafka, group)
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    ends = [
        TopicPartition(
            topic, number, consumer.get_watermark_offsets(TopicPartition(topic, number))[1]
        )
        for number in partitions
    ]
    consumer.commit(offsets=ends, asynchronous=False)
    consumer.close()


def _is_now(moment: datetime | None) -> bool:
    return moment is not None and datetime.now(UTC) - moment < timedelta(seconds=20)


def test_the_group_is_the_streams() -> None:
    assert STREAM_GROUP == CONSUMER_GROUP


def test_it_is_the_receipt_of_the_oldest_event_that_is_not_handled(settings: Settings) -> None:
    topics = settings.kafka.topics
    assert _is_now(complete_up_to(settings.kafka))
    publish_events(settings, 20)
    received = [
        message.timestamp()[1]
        for message in read_topic(settings, topics.events, until=lambda found: len(found) == 20)
    ]
    oldest = datetime.fromtimestamp(min(received) / 1000, UTC)
    wait_until(  # no earlier than the second by which clocks may differ
        lambda: complete_up_to(settings.kafka) == oldest, deadline_s=20, what="it is the oldest"
    )
    _commit(settings, CONSUMER_GROUP, topics.events)
    assert _is_now(complete_up_to(settings.kafka))
    days = [days_ago(3), days_ago(2), days_ago(1)]
    publish(settings, [encode(enriched_event("a", received_at=day)) for day in days])
    assert complete_up_to(settings.kafka) == parse_rfc3339(days[0])
    _commit(settings, SINK_GROUP, topics.enriched)
    assert _is_now(complete_up_to(settings.kafka))


def test_an_unread_event_without_a_time_is_no_promise(settings: Settings) -> None:
    publish(settings, [b"no event"])
    assert complete_up_to(settings.kafka) is None


def test_without_kafka_nothing_is_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    kafka = KafkaSettings(bootstrap_servers="127.0.0.1:1")

    def gone(*_: object, **__: object) -> None:
        raise KafkaUnreachable("nobody")

    monkeypatch.setattr("auditbus.console.query.completeness.group_progress", gone)
    known = CompletenessWatch(kafka).now()
    assert (known.up_to, known.reason) == (None, "Kafka does not answer")
