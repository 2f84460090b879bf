"""What integration tests share: events to publish, and topics to read back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms


def environment_of(kafka_servers: str, prefix: str, **more: str) -> dict[str, str]:
    """Return the settings of one test's own topics, as environment variables."""
    return {
        "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
        "AUDITBUS_KAFKA_TOPIC_PREFIX": prefix,
        "AUDITBUS_KAFKA_PARTITIONS": "4",
        "AUDITBUS_STREAM_HEALTH_PORT": "0",
        "AUDITBUS_SINK_HEALTH_PORT": "0",
        "AUDITBUS_FORWARDER_HEALTH_PORT": "0",
        **more,
    }


def settings_with_topics(environment: Mapping[str, str]) -> Settings:
    """Return the settings, their topics created."""
    settings = load_settings(environment)
    create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
    return settings


def event(number: int = 0, **fields: Any) -> dict[str, Any]:
    """Return a valid event; `fields` replace or add, None removes."""
    made: dict[str, Any] = {
        "id": uuid7(),
        "schema_version": 1,
        "action": "StorageDeleted",
        "occurred_at": format_epoch_ms(time.time_ns() // 1_000_000),
        "account": {"id": f"account-{number % 50}", "name": f"Account {number % 50}"},
        "actor": {"type": "user", "id": f"user-{number % 200}", "email": "user@example.org"},
        "description": f"Deleted storage {number}",
        "context": {
            "ip": "81.2.69.142",
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
            "(KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        },
        "metadata": {"number": number},
    }
    made.update(fields)
    return {name: value for name, value in made.items() if value is not None}


def publish_raw(settings: Settings, values: Iterator[bytes | None] | list[bytes | None]) -> None:
    """Put values on the raw topic as they are, keyed by nothing; acknowledged on return."""
    producer = new_producer(settings.kafka)
    for value in values:
        _produce(producer, settings.kafka.topics.events, value, None)
    assert producer.flush(60) == 0


def publish_events(settings: Settings, count: int) -> list[str]:
    """Publish `count` events keyed by account and return their ids."""
    producer = new_producer(settings.kafka)
    ids = []
    for number in range(count):
        made = event(number)
        ids.append(made["id"])
        _produce(
            producer,
            settings.kafka.topics.events,
            orjson.dumps(made),
            made["account"]["id"].encode(),
        )
    assert producer.flush(60) == 0
    return ids


def _produce(producer: Producer, topic: str, value: bytes | None, key: bytes | None) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def read_topic(
    settings: Settings,
    topic: str,
    *,
    until: Callable[[list[Message]], bool],
    deadline_s: float = 60.0,
) -> list[Message]:
    """Read `topic` from its start until `until(messages)` or the deadline; returns what came."""
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka.bootstrap_servers,
            "group.id": "reader",
            "enable.auto.commit": False,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    messages: list[Message] = []
    end = time.monotonic() + deadline_s
    while not until(messages) and time.monotonic() < end:
        messages.extend(m for m in consumer.consume(1000, timeout=0.2) if m.error() is None)
    consumer.close()
    return messages


def wait_until(condition: Callable[[], bool], *, deadline_s: float, what: str) -> None:
    """Wait for a condition with a deadline; never sleep for luck."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        time.sleep(0.05)
