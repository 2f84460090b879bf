"""Kafka lost what was not delivered, or was away itself: nothing is passed over silently."""

import time

from confluent_kafka import TopicPartition
from structlog.testing import capture_logs

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_nothing_lost,
    committed,
    forwarder_settings,
    forwarding,
    publish,
    wait_for_alarm,
    wait_until_committed,
    webhook,
)
from tests.pipeline import wait_until
from tests.webhook_receiver import Reply, receiving


def test_events_deleted_before_delivery_stop_that_destination_only(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver, receiving() as other:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, late=webhook(receiver), other=webhook(other)
        )
        enriched = settings.kafka.topics.enriched
        publish(settings, enriched, 200)
        with forwarding(settings):
            wait_until(
                lambda: len(receiver.delivered) == len(other.delivered) == 200,
                deadline_s=30,
                what="all delivered",
            )
        publish(settings, enriched, 200)
        _delete_to_end(settings, enriched)
        _commit_to_end(settings, "other", enriched)  # this one had got them in time
        fresh = publish(settings, enriched, 100)
        with capture_logs() as logs, forwarding(settings):
            wait_for_alarm("late", "offset_lost")
            wait_until(
                lambda: set(fresh) <= other.delivered.keys(), deadline_s=30, what="the other"
            )
        assert len(receiver.delivered) == 200  # no silent jump
        assert any("--reset-offsets --to-earliest" in str(log) for log in logs)


def test_events_deleted_while_the_destination_is_down_stop_it(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, down=webhook(receiver, retry_base_s=0.4)
        )
        receiver.behaviour = lambda _: Reply(500)
        publish(settings, settings.kafka.topics.enriched, 200)
        with forwarding(settings):
            wait_until(lambda: len(receiver.requests) > 6, deadline_s=30, what="tries")
            _delete_to_end(settings, settings.kafka.topics.enriched)
            wait_for_alarm("down", "offset_lost")
        assert sum(committed(settings, "down").values()) == 0


def test_a_topic_made_anew_is_read_from_its_start(kafka: Kafka, unique_prefix: str) -> None:
    """Its offsets begin again: going on at the old ones would pass over new events."""
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        enriched = settings.kafka.topics.enriched
        admin = new_admin(settings.kafka)
        ids = publish(settings, enriched, 400)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 400, deadline_s=30, what="the old ones")
            admin.delete_topics([enriched])[enriched].result(15)
            wait_until(
                lambda: enriched not in admin.list_topics(timeout=5).topics,
                deadline_s=15,
                what="the topic's end",
            )
            create_topics(admin, specs_for(settings.kafka))
            ids += publish(settings, enriched, 1200)
            wait_until(
                lambda: len(receiver.delivered) == 1600, deadline_s=60, what="all of the new ones"
            )
            wait_until_committed(settings, "soc", 1200)
        check_nothing_lost(ids, receiver.delivered)


def test_the_broker_killed_and_back_loses_nothing(fresh_kafka: Kafka, unique_prefix: str) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            fresh_kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=20)
        )
        receiver.behaviour = lambda _: Reply(before=lambda: time.sleep(0.02))
        ids = publish(settings, settings.kafka.topics.enriched, 2000)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) > 200, deadline_s=40, what="some")
            fresh_kafka.kill()
            fresh_kafka.start()
            ids += publish(settings, settings.kafka.topics.enriched, 500, first=2000)
            wait_until(lambda: len(receiver.delivered) == 2500, deadline_s=90, what="all delivered")
        check_nothing_lost(ids, receiver.delivered)


def _ends(settings: Settings, topic: str) -> list[TopicPartition]:
    """Where each partition ends."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "bounds"}
    )
    try:
        return [
            TopicPartition(
                topic, n, consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1]
            )
            for n in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
    finally:
        consumer.close()


def _delete_to_end(settings: Settings, topic: str) -> None:
    """Delete every record, as retention would."""
    admin = new_admin(settings.kafka)
    for future in admin.delete_records(_ends(settings, topic)).values():
        future.result(15)


def _commit_to_end(settings: Settings, destination: str, topic: str) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions

    group = settings.kafka.group(f"forwarder.{destination}")
    request = [ConsumerGroupTopicPartitions(group, _ends(settings, topic))]
    admin = new_admin(settings.kafka)
    admin.alter_consumer_group_offsets(request)[group].result(15)
