"""What the stream cannot publish: it blocks or ends, commits nothing of it, and drops nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from auditbus.deploy.local.child import Child
from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.streams.publisher import Publisher
from tests.backends.parts import Kafka
from tests.faults.test_stream_faults import CommittedOffsets
from tests.integration.test_stream import start_stream
from tests.oracle import dead_letters, ids_of
from tests.pipeline import environment_of, event, publish_raw, read_topic, settings_with_topics

_TOO_FEW_BYTES = "100"


@pytest.fixture
def environment(kafka: Kafka, unique_prefix: str) -> dict[str, str]:
    return environment_of(kafka.bootstrap_servers, unique_prefix, AUDITBUS_KAFKA_PARTITIONS="1")


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Callable[[str], Child]]:
    """Starts a worker, whose log is named; none is left behind."""
    workers = []

    def started(name: str) -> Child:
        workers.append(start_stream(environment, tmp_path, name))
        return workers[-1]

    yield started
    for worker in workers:
        worker.kill()
        worker.wait(10)


def set_limit(settings: Settings, topic: str, max_message_bytes: str) -> None:
    change = ConfigResource(
        ConfigResource.Type.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry(
                "max.message.bytes",
                max_message_bytes,
                incremental_operation=AlterConfigOpType.SET,
            )
        ],
    )
    admin = new_admin(settings.kafka)  # held: no answer comes once it is gone
    admin.incremental_alter_configs([change])[change].result(10)


def test_a_dead_letter_that_cannot_be_written_ends_the_worker_uncommitted(
    environment: dict[str, str], start: Callable[[str], Child], tmp_path: Path
) -> None:
    """Faults 21 and 7: an exception of the agent acknowledged its message (robinhood/faust#604)."""
    settings = load_settings(environment)
    topics = settings.kafka.topics
    create_topics(
        new_admin(settings.kafka),
        [
            replace(spec, config={**spec.config, "max.message.bytes": _TOO_FEW_BYTES})
            if spec.name == topics.dead_letters
            else spec
            for spec in specs_for(settings.kafka)
        ],
    )
    good, bad = event(), event(action="no spaces")
    publish_raw(settings, [orjson.dumps(bad), orjson.dumps(good)])

    worker = start("blocked")
    assert worker.wait(60), "the worker goes on behind a dead letter that nobody has"
    assert worker.exit_code != 0
    assert "dead letter not written" in (tmp_path / "blocked.log").read_text()
    assert CommittedOffsets(settings).total() == 0
    assert dead_letters(settings) == []

    set_limit(settings, topics.dead_letters, "1000000")
    worker = start("mended")
    CommittedOffsets(settings).wait_for(2)
    worker.terminate()
    assert worker.wait(15)
    assert set(ids_of(dead_letters(settings))) == {bad["id"]}
    enriched = read_topic(settings, topics.enriched, until=len)
    assert {orjson.loads(message.value())["id"] for message in enriched} == {good["id"]}


def test_an_enriched_event_that_the_broker_refuses_is_never_passed_over(
    environment: dict[str, str], start: Callable[[str], Child]
) -> None:
    """Fault 9: the topic's limit was lowered while the worker ran, which knew the old one."""
    settings = settings_with_topics(environment)
    topics = settings.kafka.topics
    worker = start("before")
    publish_raw(settings, [orjson.dumps(event())])
    CommittedOffsets(settings).wait_for(1)
    set_limit(settings, topics.enriched, "5000")
    large = event(description=os.urandom(6_000).hex())  # the limit is judged compressed
    publish_raw(settings, [orjson.dumps(large)])
    assert worker.wait(60), "the worker goes on behind an event that nobody has"
    assert worker.exit_code != 0
    assert CommittedOffsets(settings).total() == 1

    worker = start("after")
    (message,) = read_topic(settings, topics.dead_letters, until=len, deadline_s=30)
    worker.terminate()
    assert worker.wait(15)
    letter = DeadLetter.from_message(message)
    assert (letter.code, letter.value) == ("too_large_enriched", orjson.dumps(large))


def test_a_full_producer_queue_is_waited_out(environment: dict[str, str]) -> None:
    """Fault 9."""
    settings = settings_with_topics(environment)
    topics = settings.kafka.topics
    producer = new_producer(settings.kafka, {"queue.buffering.max.messages": 10})
    publisher = Publisher(producer, topics)
    for number in range(500):
        publisher.publish(b"account", b"%d" % number, (), is_signal=number % 5 == 0)
    publisher.flush(30)
    enriched = read_topic(settings, topics.enriched, until=lambda found: len(found) >= 500)
    assert [int(message.value()) for message in enriched] == list(range(500))
    signals = read_topic(settings, topics.signals, until=lambda found: len(found) >= 100)
    assert [int(message.value()) for message in signals] == list(range(0, 500, 5))
