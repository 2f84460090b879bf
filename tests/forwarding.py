"""What tests of the forwarder share: destinations, events to publish, offsets, dead letters."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from auditbus.deploy.local.child import Child
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import Settings
from auditbus.sinks.siem import run
from tests.oracle import judge
from tests.pipeline import (
    environment_of,
    event,
    read_topic,
    settings_with_topics,
    wait_until,
)
from tests.receivers.elasticsearch import API_KEY
from tests.receivers.otlp import TOKEN as OTLP_TOKEN
from tests.receivers.splunk import TOKEN as HEC_TOKEN
from tests.webhook_receiver import SECRET, Receiver

Table = dict[str, Any]

SECRETS = {
    "HOOK_SECRET": SECRET,
    "HEC_TOKEN": HEC_TOKEN,
    "ES_API_KEY": API_KEY,
    "OTLP_TOKEN": OTLP_TOKEN,
}
_SECRET_SETTINGS = {
    "splunk": {"token_env": "HEC_TOKEN"},
    "elasticsearch": {"api_key_env": "ES_API_KEY"},
    "otlp": {"token_env": "OTLP_TOKEN"},
}


def webhook(receiver: Receiver | str, **fields: Any) -> Table:
    """A destination's table: on loopback, quick to try again."""
    url = receiver if isinstance(receiver, str) else receiver.url
    return {
        "type": "webhook",
        "url": url,
        "secret_env": "HOOK_SECRET",
        "allow_private_targets": True,
        "linger_ms": 20,
        "timeout_s": 5.0,
        "retry_base_s": 0.1,
        "retry_cap_s": 0.5,
        **fields,
    }


def destination(kind: str, url: str, **fields: Any) -> Table:
    """A destination's table over HTTP: on loopback, quick to try again and to acknowledge."""
    polling = {"ack_poll_s": 0.2} if kind == "splunk" else {}
    return {
        "type": kind,
        "url": url,
        "allow_private_targets": True,
        "linger_ms": 20,
        "timeout_s": 5.0,
        "retry_base_s": 0.1,
        "retry_cap_s": 0.5,
        **_SECRET_SETTINGS[kind],
        **polling,
        **fields,
    }


def forwarder_settings(kafka_servers: str, prefix: str, **destinations: Table) -> Settings:
    """Settings of one test's own topics, which are created, with these destinations."""
    settings = settings_with_topics(environment_of(kafka_servers, prefix))
    return with_destinations(settings, **destinations)


def with_destinations(settings: Settings, **destinations: Table) -> Settings:
    forwarder = settings.forwarder.model_copy(update={"destinations": destinations})
    return settings.model_copy(update={"forwarder": forwarder})


@contextmanager
def forwarding(settings: Settings) -> Iterator[None]:
    """Run the forwarder in this process; checks that it stops within its bound."""
    stop = threading.Event()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in SECRETS.items():
            environment.setenv(name, value)
        thread = threading.Thread(target=run, args=(settings, stop))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            started = time.monotonic()
            thread.join(10)
            took_s = time.monotonic() - started
    assert not thread.is_alive()
    assert took_s < 5.5, f"stopping took {took_s:.1f} s"


def forwarder_process(
    settings: Settings, directory: Path, name: str = "forwarder", **environment_more: str
) -> Child:
    """A forwarder of its own, not yet started."""
    config = directory / f"{name}.toml"
    tables = [
        f"[forwarder.destinations.{key}]\n"
        + "".join(f"{field} = {orjson.dumps(value).decode()}\n" for field, value in table.items())
        for key, table in settings.forwarder.destinations.items()
    ]
    config.write_text("\n".join(tables))
    environment = environment_of(settings.kafka.bootstrap_servers, settings.kafka.topic_prefix)
    return Child(
        name,
        [sys.executable, "-m", "tests.forwarder_process"],
        environment={
            **os.environ,
            **environment,
            "AUDITBUS_CONFIG": str(config),
            **SECRETS,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            **environment_more,
        },
        log=directory / f"{name}.log",
    )


def publish(settings: Settings, topic: str, count: int, *, first: int = 0) -> list[str]:
    """Publish events keyed by account; returns their ids once Kafka has them."""
    events = [event(number) for number in range(first, first + count)]
    publish_values(
        settings, topic, [(e["account"]["id"].encode(), orjson.dumps(e)) for e in events]
    )
    return [made["id"] for made in events]


def publish_values(
    settings: Settings, topic: str, records: Sequence[tuple[bytes | None, bytes | None]]
) -> None:
    """Publish keys and values as they are."""
    producer = new_producer(settings.kafka)
    failures: list[object] = []
    for key, value in records:
        producer.produce(
            topic,
            value=value,
            key=key,
            on_delivery=lambda error, _: failures.append(error) if error else None,
        )
        producer.poll(0)
    assert producer.flush(30) == 0
    assert not failures


def dead_letters(settings: Settings, count: int, deadline_s: float = 30.0) -> list[DeadLetter]:
    """Read the forwarder's dead letters until there are `count`, or the deadline."""
    messages = read_topic(
        settings,
        settings.kafka.topics.forwarder_dead_letters,
        until=lambda found: len(found) >= count,
        deadline_s=deadline_s,
    )
    return [DeadLetter.from_message(message) for message in messages]


def dead_ids(letters: Sequence[DeadLetter]) -> Counter[str]:
    return Counter(orjson.loads(letter.value or b"")["id"] for letter in letters)


def check_nothing_lost(
    published: Iterable[str], delivered: Counter[str], dead: Iterable[str] = ()
) -> int:
    """Assert at-least-once by the oracle; return how many copies too many there are."""
    verdict = judge(published, delivered.elements(), dead)
    assert not verdict.missing, f"{len(verdict.missing)} missing, such as {verdict.missing[0]}"
    assert not verdict.in_both, f"{len(verdict.in_both)} delivered and dead"
    assert not verdict.unexpected, f"{len(verdict.unexpected)} never published"
    return delivered.total() - len(delivered)


def check_exactly_once(
    published: Iterable[str], delivered: Counter[str], dead: Iterable[str] = ()
) -> None:
    """Assert that nothing is lost and nothing repeated."""
    assert check_nothing_lost(published, delivered, dead) == 0


def committed(settings: Settings, destination: str) -> Mapping[int, int]:
    """The committed offsets of a destination's group on the enriched topic and the raw one."""
    topics = settings.kafka.topics
    return {
        progress.partition: progress.committed
        for topic in (topics.enriched, topics.events)
        for progress in group_progress(settings.kafka, f"forwarder.{destination}", topic)
        if progress.committed is not None
    }


def wait_until_committed(
    settings: Settings, destination: str, count: int, *, deadline_s: float = 60.0
) -> None:
    """Wait until a destination's group has committed so many events in all."""
    wait_until(
        lambda: sum(committed(settings, destination).values()) == count,
        deadline_s=deadline_s,
        what=f"{count} committed",
    )


def metric(name: str, **labels: str) -> float | None:
    """Return a metric of this process, where the forwarder runs in it."""
    return REGISTRY.get_sample_value(name, labels)


def wait_for_alarm(destination: str, code: str, *, deadline_s: float = 40.0) -> None:
    """Wait until a destination asks for a person."""
    wait_until(
        lambda: metric("audit_sink_alarm", sink=destination, code=code) == 1,
        deadline_s=deadline_s,
        what=f"the alarm {code}",
    )
