"""The stream on a real broker: what comes out of it for what goes in."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from confluent_kafka import ConsumerGroupState

from auditbus.deploy.local.child import Child
from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings
from auditbus.schemas.enriched import decode_enriched
from tests.backends.parts import Kafka
from tests.pipeline import (
    environment_of,
    event,
    publish_events,
    publish_raw,
    read_topic,
    settings_with_topics,
    wait_until,
)
from tests.roles import start_role


def start_stream(environment: dict[str, str], directory: Path, name: str = "stream") -> Child:
    return start_role("stream", environment, directory, name)


@pytest.fixture
def stream(kafka: Kafka, unique_prefix: str, tmp_path: Path) -> Iterator[tuple[Settings, Child]]:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    child = start_stream(environment, tmp_path)
    yield settings, child
    child.terminate()
    child.wait(10)


def test_an_event_is_located_its_device_identified_and_routed(stream) -> None:
    settings, _ = stream
    sent = event(7, unknown_field={"kept": [1, 2.50, "é"]})
    raw = orjson.dumps(sent)
    publish_raw(settings, [raw])

    (message,) = read_topic(settings, settings.kafka.topics.enriched, until=len)

    value = message.value()
    assert value.startswith(raw[:-1]), "the producer's bytes stand first, unchanged"
    enriched = decode_enriched(value)
    assert message.key() == b"account-7"
    assert (enriched.category, enriched.operation) == ("storage", "delete")
    assert enriched.location.country_code == "GB"
    assert enriched.device.label == "Chrome 131 on Windows 10/11"
    assert enriched.origin.topic == settings.kafka.topics.events
    assert enriched.received_at.endswith("Z")
    (signal,) = read_topic(settings, settings.kafka.topics.signals, until=len)
    assert signal.value() == value


def test_an_action_that_is_no_signal_stays_out_of_the_signals(stream) -> None:
    settings, _ = stream
    publish_raw(settings, [orjson.dumps(event(action="RepositoryAdded"))])
    publish_raw(settings, [orjson.dumps(event(action="Login"))])
    both = read_topic(settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 2)
    assert len(both) == 2
    signals = read_topic(settings, settings.kafka.topics.signals, until=len)
    assert [decode_enriched(m.value()).action for m in signals] == ["Login"]


BAD = {
    "tombstone": None,
    "empty": b"",
    "malformed_json": b'{"id": ',
    "not_utf8": orjson.dumps(event()).replace(b"Deleted", b"\xff\xfe"),
    "not_an_object": b"[1]",
    "reserved_name": orjson.dumps(event(category="forged")),
    "repeated_key": orjson.dumps(event())[:-1] + b',"id":"forged"}',
    "unsupported_version": orjson.dumps(event(schema_version=2)),
    "missing_field": orjson.dumps(event(action=None)),
    "wrong_type": orjson.dumps(event(account={"id": 7})),
    "invalid_value": orjson.dumps(event(action="1bad")),
    "too_deep": orjson.dumps(event())[:-1] + b',"deep":' + b"[" * 300 + b"]" * 300 + b"}",
    "too_large": orjson.dumps(event(description="x" * 300_000)),
}


def test_bad_records_are_kept_whole_with_the_reason_and_the_stream_goes_on(stream) -> None:
    settings, child = stream
    good_before, good_after = publish_events(settings, 1), []
    producer = new_producer(settings.kafka)
    for code, value in BAD.items():
        headers = [("traceparent", code.encode()), ("empty", None)]
        producer.produce(settings.kafka.topics.events, value, f"key of {code}", headers=headers)
    assert producer.flush(30) == 0
    good_after = publish_events(settings, 1)

    letters = [
        DeadLetter.from_message(m)
        for m in read_topic(
            settings, settings.kafka.topics.dead_letters, until=lambda m: len(m) == len(BAD)
        )
    ]

    assert {letter.code: letter.value for letter in letters} == BAD
    for letter in letters:
        assert letter.key == f"key of {letter.code}".encode()
        assert letter.headers == (("traceparent", letter.code.encode()), ("empty", None))
    assert all(letter.stage == "stream" and letter.reason for letter in letters)
    assert all(letter.origin.topic == settings.kafka.topics.events for letter in letters)
    good = read_topic(settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 2)
    assert {json.loads(m.value())["id"] for m in good} == {*good_before, *good_after}
    assert child.running


def test_an_event_without_account_belongs_to_the_operator(stream) -> None:
    settings, _ = stream
    publish_raw(settings, [orjson.dumps(event(account=None))])
    null = orjson.dumps(event(account=None))[:-1] + b',"account":null,"n":1.50}'
    publish_raw(settings, [null])
    messages = read_topic(settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 2)
    assert {m.key() for m in messages} == {b"system"}
    assert {decode_enriched(m.value()).account.id for m in messages} == {"system"}
    assert any(b'"n":1.50' in m.value() for m in messages), "other members keep their bytes"


def test_an_operators_own_action_and_account_are_known(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    catalogue = tmp_path / "actions.toml"
    catalogue.write_text(
        '[KeyRotated]\ncategory = "security"\noperation = "rotate"\nsignal = true\n'
    )
    environment = environment_of(
        kafka.bootstrap_servers,
        unique_prefix,
        AUDITBUS_CATALOGUE=str(catalogue),
        AUDITBUS_OPERATOR_ACCOUNT="platform",
    )
    settings = settings_with_topics(environment)
    child = start_stream(environment, tmp_path)
    publish_raw(settings, [orjson.dumps(event(action="KeyRotated", account=None))])

    (message,) = read_topic(settings, settings.kafka.topics.signals, until=len)

    child.terminate()
    assert child.wait(10)
    enriched = decode_enriched(message.value())
    assert (enriched.category, enriched.operation) == ("security", "rotate")
    assert (message.key(), enriched.account.id) == (b"platform", "platform")


def test_clients_cannot_choose_when_their_events_expire(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    from confluent_kafka.admin import NewTopic

    from auditbus.runtime.settings import load_settings

    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = load_settings(environment)
    admin = new_admin(settings.kafka)
    future = admin.create_topics(
        [NewTopic(settings.kafka.topics.events, num_partitions=1, replication_factor=1)]
    )
    future[settings.kafka.topics.events].result(10)

    child = start_stream(environment, tmp_path)

    assert child.wait(30)
    assert child.exit_code != 0
    assert "LogAppendTime" in (tmp_path / "stream.log").read_text()


def test_a_worker_is_ready_only_once_it_has_joined_its_group(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    """It was while the broker still waited for the killed one before it: nothing flowed."""
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    killed = start_stream(environment, tmp_path, "killed")
    publish_events(settings, 1)
    assert read_topic(settings, settings.kafka.topics.enriched, until=len)
    killed.kill()
    child = start_stream(environment, tmp_path)
    log = tmp_path / "stream.log"

    def ready() -> bool:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found is None:
            return False
        try:
            with urllib.request.urlopen(f"{found[0]}/readyz", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            said.add(error.read().decode())
            return False

    said: set[str] = set()
    wait_until(ready, deadline_s=60, what="it is ready")
    admin = new_admin(settings.kafka)  # held: no answer comes once it is gone
    group = settings.kafka.group("stream")
    described = admin.describe_consumer_groups([group])[group].result(10)
    child.terminate()
    assert child.wait(10)
    assert "joining the consumer group\n" in said
    assert [len(m.assignment.topic_partitions or ()) for m in described.members] == [4]
    assert described.state == ConsumerGroupState.STABLE


def test_health_and_metrics_are_served(kafka: Kafka, unique_prefix: str, tmp_path: Path) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    child = start_stream(environment, tmp_path)
    publish_events(settings, 10)
    assert len(read_topic(settings, settings.kafka.topics.enriched, until=lambda m: len(m) == 10))

    found = re.search(r"http://127\.0\.0\.1:\d+", (tmp_path / "stream.log").read_text())
    assert found is not None

    def page(path: str) -> str:
        with urllib.request.urlopen(found[0] + path, timeout=5) as answer:
            return answer.read().decode()

    assert page("/healthz") == "ok\n"
    assert page("/readyz") == "ok\n"
    assert "audit_consumed_events_total" in page("/metrics")
    events = settings.kafka.topics.events
    lag = f'audit_consumer_lag{{group="{unique_prefix}stream",partition="0",topic="{events}"}} 0.0'
    wait_until(lambda: lag in page("/metrics"), deadline_s=10, what="the lag is known and none")
    child.terminate()
    assert child.wait(10)
    assert child.exit_code == 0
    assert "\x1b" not in (tmp_path / "stream.log").read_text(), "terminal codes in a log"
