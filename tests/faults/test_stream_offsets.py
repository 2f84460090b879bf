"""Offsets that vanish or start again under the stream: never a silent jump, never a lost event."""

from __future__ import annotations

import json
from pathlib import Path

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import create_topics, describe_topics, specs_for
from tests.backends.parts import Kafka
from tests.faults.test_stream_faults import CommittedOffsets
from tests.integration.test_stream import start_stream
from tests.pipeline import (
    environment_of,
    publish_events,
    read_topic,
    settings_with_topics,
    wait_until,
)


def work_through(
    environment: dict[str, str], settings: Settings, directory: Path, count: int
) -> None:
    """Publish `count` events and let a worker commit them all."""
    worker = start_stream(environment, directory, "before")
    publish_events(settings, count)
    CommittedOffsets(settings).wait_for(count)
    worker.terminate()
    assert worker.wait(15)


def test_events_that_retention_deleted_unread_stop_the_worker_with_a_clear_error(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(
        kafka.bootstrap_servers, unique_prefix, AUDITBUS_KAFKA_PARTITIONS="1"
    )
    settings = settings_with_topics(environment)
    work_through(environment, settings, tmp_path, 100)
    publish_events(settings, 100)
    raw = TopicPartition(settings.kafka.topics.events, 0, 150)
    admin = new_admin(settings.kafka)
    admin.delete_records([raw])[raw].result(10)

    worker = start_stream(environment, tmp_path, "after")

    assert worker.wait(60), "the worker goes on as if nothing were missing"
    assert worker.exit_code != 0
    log = (tmp_path / "after.log").read_text()
    assert "offset_lost" in log
    assert "50 events unread" in log


def test_a_topic_made_anew_ends_the_worker_and_is_read_from_its_start(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(
        kafka.bootstrap_servers, unique_prefix, AUDITBUS_KAFKA_PARTITIONS="1"
    )
    settings = settings_with_topics(environment)
    worker = start_stream(environment, tmp_path, "before")
    publish_events(settings, 100)
    CommittedOffsets(settings).wait_for(100)

    make_anew(settings, settings.kafka.topics.events)
    ids = set(publish_events(settings, 20))

    assert worker.wait(30), "the worker waits, idle, for a topic that is there"
    assert worker.exit_code != 0
    assert "made anew" in (tmp_path / "before.log").read_text()
    worker = start_stream(environment, tmp_path, "after")
    enriched = read_topic(
        settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 120, deadline_s=30
    )
    worker.terminate()
    worker.wait(15)

    assert ids <= {json.loads(m.value())["id"] for m in enriched}


def make_anew(settings: Settings, topic: str) -> None:
    admin = new_admin(settings.kafka)
    admin.delete_topics([topic])[topic].result(20)
    wait_until(lambda: topic not in describe_topics(admin, [topic]), deadline_s=20, what="deleted")

    def created() -> bool:
        try:
            create_topics(admin, specs_for(settings.kafka))
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise
        return topic in describe_topics(admin, [topic])

    wait_until(created, deadline_s=20, what="created")
