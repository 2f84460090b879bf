"""The sink against the faults of Kafka and its own process: killed, revoked, offsets lost."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from confluent_kafka import TopicPartition

from auditbus.deploy.local.child import Child
from auditbus.runtime.errors import OffsetLost, TopicMisconfigured
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import create_topics, describe_topics, specs_for
from auditbus.runtime.topic_watch import TopicWatch
from auditbus.sinks.clickhouse import role
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.oracle import ALL_WELL, dead_letters, ids_of, ids_seen, judge
from tests.pipeline import wait_until
from tests.sink_process import POINTS
from tests.sinks import (
    committed,
    publish,
    publish_enriched,
    running_sink,
    sink_environment,
    sink_settings,
    wait_committed,
)
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def settings(kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, client: Client) -> Settings:
    return sink_settings(kafka, clickhouse, unique_prefix)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at(
    point: str,
    settings: Settings,
    kafka: Kafka,
    clickhouse: ClickHouse,
    client: Client,
    unique_prefix: str,
    tmp_path: Path,
) -> None:
    """Fault 2: SIGKILL before the insert, after it, before the commit, after a dead letter."""
    events = [enriched_event(f"{unique_prefix}a") for _ in range(300)]
    events[123]["action"] = ["wrong"]
    publish(settings, map(encode, events))
    reached = tmp_path / "reached"
    child = Child(
        "sink",
        [sys.executable, "-m", "tests.sink_process", point, str(reached)],
        environment={**os.environ, **sink_environment(kafka, clickhouse, unique_prefix)},
        log=tmp_path / "sink.log",
    )
    child.start()
    wait_until(reached.exists, deadline_s=40, what=f"the sink reaches {point}")
    child.kill()
    assert sum(committed(settings).values()) == 0
    with running_sink(settings):
        wait_committed(settings, 300)
    letters = dead_letters(settings)
    assert {letter.value for letter in letters} == {encode(events[123])}
    found = judge([e["id"] for e in events], ids_seen(client, unique_prefix), ids_of(letters))
    assert found == ALL_WELL


class Gate:
    """Holds the first insert that comes while it is shut."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self._taken = threading.Lock()
        original = Writer.insert

        def gated(writer: Writer, *args: object) -> None:
            if self._taken.acquire(blocking=False):
                self.reached.set()
                assert self.opened.wait(60)
            original(writer, *args)  # type: ignore[arg-type]

        monkeypatch.setattr(Writer, "insert", gated)


def test_a_late_insert_of_a_revoked_partition_is_not_committed(
    settings: Settings, client: Client, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 3 and 4: the other sink has gone on; the first one's commit must not go back."""
    account = f"{unique_prefix}a"
    ids = publish_enriched(settings, 200, account)
    gate = Gate(monkeypatch)
    with running_sink(settings) as slow:
        assert gate.reached.wait(30)
        with running_sink(settings):
            # The new member gets its share although the insert of the first one hangs.
            wait_until(
                lambda: sum(committed(settings).values()) > 0,
                deadline_s=40,
                what="the second sink commits",
            )
            ids += publish_enriched(settings, 200, account)
            high = committed(settings)
            gate.opened.set()
            wait_committed(settings, 400)
            assert all(committed(settings)[partition] >= high[partition] for partition in high)
        assert slow.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_partition_that_went_and_came_back(
    settings: Settings, client: Client, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 3: the same consumer owns it again while the insert from before is under way."""
    account = f"{unique_prefix}a"
    ids = publish_enriched(settings, 200, account)
    gate = Gate(monkeypatch)
    with running_sink(settings):
        assert gate.reached.wait(30)
        with running_sink(settings):
            wait_until(
                lambda: sum(committed(settings).values()) > 0,
                deadline_s=40,
                what="the second sink commits",
            )
        gate.opened.set()
        ids += publish_enriched(settings, 200, account)
        wait_committed(settings, 400)
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_an_insert_longer_than_the_poll_interval(
    settings: Settings, client: Client, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 4: the loop goes on polling, so the group keeps the member."""
    from functools import partial

    short = {"session.timeout.ms": 6_000, "max.poll.interval.ms": 6_000}
    monkeypatch.setattr(role, "TopicConsumer", partial(role.TopicConsumer, overrides=short))
    gate = Gate(monkeypatch)
    ids = publish_enriched(settings, 50, f"{unique_prefix}a")
    with running_sink(settings) as sink:
        assert gate.reached.wait(30)
        assert not gate.opened.wait(8)  # the fault itself: an insert of eight seconds
        gate.opened.set()
        wait_committed(settings, 50, deadline_s=5)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_committed_offset_that_retention_deleted(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 5: stop with a clear error, never jump."""
    account = f"{unique_prefix}a"
    values = [encode(enriched_event(account)) for _ in range(20)]
    publish(settings, values[:10], partition=0)
    with running_sink(settings):
        wait_committed(settings, 10)
    publish(settings, values[10:], partition=0)
    topic = settings.kafka.topics.enriched
    admin = new_admin(settings.kafka)
    admin.delete_records([TopicPartition(topic, 0, 15)])[TopicPartition(topic, 0)].result(10)
    with running_sink(settings) as sink:
        wait_until(lambda: not sink.running, deadline_s=30, what="the sink stops")
    assert isinstance(sink.failure, OffsetLost)
    assert (sink.failure.topic, sink.failure.partition) == (topic, 0)
    assert "--reset-offsets" in str(sink.failure)
    assert committed(settings) == {0: 10}


def test_a_first_start_begins_with_the_oldest_event_there_is(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    values = [encode(enriched_event(f"{unique_prefix}a")) for _ in range(20)]
    publish(settings, values, partition=0)
    topic = settings.kafka.topics.enriched
    admin = new_admin(settings.kafka)
    admin.delete_records([TopicPartition(topic, 0, 15)])[TopicPartition(topic, 0)].result(10)
    with running_sink(settings):
        wait_committed(settings, 20)
    assert len(ids_seen(client, unique_prefix)) == 5


def recreate_topic(settings: Settings) -> None:
    admin, topic = new_admin(settings.kafka), settings.kafka.topics.enriched
    admin.delete_topics([topic])[topic].result(10)
    wait_until(
        lambda: not describe_topics(admin, [topic]), deadline_s=20, what="the topic is deleted"
    )
    create_topics(admin, specs_for(settings.kafka))


def test_a_topic_made_anew_is_read_from_its_beginning(
    settings: Settings, client: Client, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 6: the offsets repeat, so tokens of offsets alone would drop the new events."""
    monkeypatch.setattr(role, "TopicWatch", lambda *args: TopicWatch(*args, every_s=0.3))
    account = f"{unique_prefix}a"
    first = [enriched_event(account) for _ in range(40)]
    publish(settings, map(encode, first), partition=0)
    with running_sink(settings) as sink:
        wait_committed(settings, 40)
        recreate_topic(settings)
        wait_until(lambda: not sink.running, deadline_s=30, what="the sink stops")
    assert isinstance(sink.failure, TopicMisconfigured | OffsetLost)
    second = [enriched_event(account) for _ in range(60)]
    publish(settings, map(encode, second), partition=0)
    with running_sink(settings):
        wait_committed(settings, 60)
    ids = [e["id"] for e in first + second]
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_commit_of_the_old_topic_does_not_hide_events_of_the_new(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 6 with a crash: the group's offset is from the old topic, and lies within the new."""
    account = f"{unique_prefix}a"
    publish(settings, [encode(enriched_event(account)) for _ in range(5)], partition=0)
    with running_sink(settings):
        wait_committed(settings, 5)
    recreate_topic(settings)
    second = [enriched_event(account) for _ in range(10)]
    publish(settings, map(encode, second), partition=0)
    from auditbus.runtime.kafka import new_consumer
    from auditbus.sinks.clickhouse.consumer import GROUP

    consumer = new_consumer(settings.kafka, GROUP)
    topic = settings.kafka.topics.enriched
    consumer.commit(offsets=[TopicPartition(topic, 0, 5, "the-old-topics-id")], asynchronous=False)
    consumer.close()
    with running_sink(settings):
        wait_committed(settings, 10)
    assert {e["id"] for e in second} <= set(ids_seen(client, unique_prefix))


def test_the_dead_letter_topic_cannot_be_written(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 21 at the sink: it blocks and drops nothing."""
    admin, topic = new_admin(settings.kafka), settings.kafka.topics.dead_letters
    admin.delete_topics([topic])[topic].result(10)
    account = f"{unique_prefix}a"
    good = enriched_event(account)
    publish(settings, [encode(good), b"{"], partition=0)
    with running_sink(settings):
        wait_until(
            lambda: bool(ids_seen(client, unique_prefix)), deadline_s=30, what="the good one is in"
        )
        assert committed(settings) == {}
        create_topics(admin, specs_for(settings.kafka))
        wait_committed(settings, 2, deadline_s=60)
    assert [letter.value for letter in dead_letters(settings)] == [b"{"]
