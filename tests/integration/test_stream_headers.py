"""Headers that no client of ours would send, but anybody who may write to the topic can."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import orjson
from confluent_kafka import Message

from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka
from tests.integration.test_stream import start_stream
from tests.pipeline import (
    environment_of,
    event,
    publish_events,
    read_topic,
    settings_with_topics,
)

# confluent-kafka and aiokafka's parser in C take text alone for a header's name.
PRODUCER = r"""
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"\xff\xfe"

async def main(servers, topic, *values):
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        for value in values:
            await producer.send_and_wait(topic, value.encode(), headers=[(Name("x"), b"kept")])

asyncio.run(main(*sys.argv[1:]))
"""


def publish_with_a_broken_header_name(settings: Settings, values: list[bytes]) -> None:
    subprocess.run(
        [
            sys.executable,
            *("-c", PRODUCER, settings.kafka.bootstrap_servers, settings.kafka.topics.events),
            *(value.decode() for value in values),
        ],
        env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        timeout=60,
        check=True,
    )


def test_a_record_whose_header_name_is_not_utf8_does_not_stop_the_stream(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(
        kafka.bootstrap_servers, unique_prefix, AUDITBUS_KAFKA_PARTITIONS="1"
    )
    settings = settings_with_topics(environment)
    before = publish_events(settings, 3)
    broken = [orjson.dumps(event()) for _ in range(2)]
    publish_with_a_broken_header_name(settings, broken)
    after = publish_events(settings, 3)

    child = start_stream(environment, tmp_path)
    messages = read_topic(
        settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 8, deadline_s=30
    )
    child.terminate()
    child.wait(10)

    ids = [orjson.loads(message.value())["id"] for message in messages]
    assert ids == [*before, *(orjson.loads(value)["id"] for value in broken), *after]
    assert [headers_of(m) for m in messages[3:5]] == [[("\ufffd\ufffd", b"kept")]] * 2


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    return list(message.headers() or [])  # type: ignore[arg-type]


def test_an_event_that_its_headers_make_too_large_is_a_dead_letter(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(
        kafka.bootstrap_servers, unique_prefix, AUDITBUS_KAFKA_PARTITIONS="1"
    )
    settings = load_settings(environment)
    specs = [
        replace(spec, config={**spec.config, "max.message.bytes": "20000"})
        if spec.name == settings.kafka.topics.enriched
        else spec
        for spec in specs_for(settings.kafka)
    ]
    create_topics(new_admin(settings.kafka), specs)
    value = orjson.dumps(event())
    producer = new_producer(settings.kafka)
    producer.produce(settings.kafka.topics.events, value, headers=[("large", os.urandom(30_000))])
    assert producer.flush(30) == 0
    (good,) = publish_events(settings, 1)

    child = start_stream(environment, tmp_path)
    (message,) = read_topic(settings, settings.kafka.topics.enriched, until=len, deadline_s=30)
    (letter,) = map(
        DeadLetter.from_message,
        read_topic(settings, settings.kafka.topics.dead_letters, until=len, deadline_s=10),
    )
    child.terminate()
    child.wait(10)

    assert orjson.loads(message.value())["id"] == good
    assert (letter.code, letter.value) == ("too_large_enriched", value)
    assert [name for name, _ in letter.headers] == ["large"]
