"""Twenty thousand events through every hop, bad ones among them, judged by the oracle."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from auditbus.producers import AuditProducer
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import Settings
from tests.backends.parts import ClickHouse, Kafka
from tests.oracle import ALL_WELL, dead_letters, ids_of, ids_seen, judge
from tests.pipeline import (
    environment_of,
    event,
    read_topic,
    settings_with_topics,
    wait_until,
)
from tests.roles import start_role
from tests.store import migrated_client
from tests.webhook_receiver import SECRET, Receiver, receiving

EVENTS = 20_000
BAD_EVERY = 100
# How each bad event is spoilt, by the code that it must get; its id stays readable for the oracle.
SPOIL: dict[str, Callable[[bytes], bytes]] = {
    "invalid_value": lambda raw: raw.replace(b"StorageDeleted", b"Storage Deleted"),
    "wrong_type": lambda raw: raw.replace(b'"description":"', b'"description":1,"was":"'),
    "missing_field": lambda raw: raw.replace(b'"action"', b'"deed"'),
    "unsupported_version": lambda raw: raw.replace(b'"schema_version":1', b'"schema_version":2'),
    "reserved_name": lambda raw: raw[:-1] + b',"category":"forged"}',
    "repeated_key": lambda raw: raw[:-1] + b',"action":"Login"}',
    "malformed_json": lambda raw: raw[:-1] + b',"score":NaN}',
    "too_deep": lambda raw: raw[:-1] + b',"deep":' + b"[" * 300 + b"]" * 300 + b"}",
    "too_large": lambda raw: raw[:-1] + b',"more":"' + b"x" * 300_000 + b'"}',
}
_READS = ("consumed_events_total", "consumer_lag", "uncommitted_offset_gap")
_JOINS = ("rebalances_total", "offset_commits_total")
_DELIVERS = (
    *("sink_rows_total", "batch_rows_count", "sink_request_seconds_count", "inflight_requests"),
    *("end_to_end_latency_seconds_count", "oldest_unacknowledged_seconds"),
    "last_success_timestamp_seconds",
)
# What each role must tell without the prefix audit_.
TOLD = {
    "stream": (
        *(*_READS, *_JOINS, "dead_letters_total", "enrichment_misses_total"),
        "geoip_database_build_timestamp_seconds",
    ),
    "sink": (*_READS, *_JOINS, *_DELIVERS),
    "forwarder": (*_READS, *_JOINS, *_DELIVERS, "circuit_state"),
}
DESTINATION = """
[forwarder.destinations.siem]
type = "webhook"
url = "{url}"
secret_env = "HOOK_SECRET"
allow_private_targets = true
"""


def test_every_event_is_stored_and_delivered_once_or_a_dead_letter(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver, migrated_client(clickhouse) as client:
        environment = _environment(kafka, clickhouse, unique_prefix, receiver, tmp_path)
        settings = settings_with_topics(environment)
        with _roles(environment, tmp_path):
            good, bad = _publish(settings, unique_prefix)
            published = [*good, *bad]

            def stored() -> int:
                return len(ids_seen(client, unique_prefix))

            wait_until(lambda: stored() >= len(good), deadline_s=120, what="all is stored")
            wait_until(
                lambda: len(receiver.delivered) >= len(good), deadline_s=120, what="all delivered"
            )
            wait_until(
                lambda: len(dead_letters(settings)) >= len(bad), deadline_s=60, what="all buried"
            )
            shown = _by_command_line(environment, f"{unique_prefix}account-7")
            for role, names in TOLD.items():
                _check_pages(tmp_path / f"{role}.log", names)

        letters = dead_letters(settings)
        assert {json.loads(letter.value)["id"]: letter.code for letter in letters} == bad
        buried = ids_of(letters)
        assert judge(published, ids_seen(client, unique_prefix), buried) == ALL_WELL
        assert judge(published, receiver.delivered.elements(), buried) == ALL_WELL
        assert sorted(buried) == sorted(bad)
        signals = settings.kafka.topics.signals
        told = read_topic(settings, signals, until=lambda found: len(found) >= len(good))
        assert judge(good, [json.loads(signal.value() or b"")["id"] for signal in told]) == ALL_WELL
        rows = client.query(
            "SELECT event FROM audit.log WHERE account = %(account)s",
            parameters={"account": f"{unique_prefix}account-7"},
        ).result_rows
        assert {json.loads(row[0])["id"] for row in rows} == {line["id"] for line in shown}
        assert {line["location"]["country_code"] for line in shown} == {"GB"}


def _environment(
    kafka: Kafka, clickhouse: ClickHouse, prefix: str, receiver: Receiver, directory: Path
) -> dict[str, str]:
    config = directory / "auditbus.toml"
    config.write_text(DESTINATION.format(url=receiver.url))
    return environment_of(
        kafka.bootstrap_servers,
        prefix,
        AUDITBUS_CONFIG=str(config),
        AUDITBUS_CLICKHOUSE_URL=clickhouse.url,
        AUDITBUS_CLICKHOUSE_USERNAME=clickhouse.username,
        AUDITBUS_CLICKHOUSE_PASSWORD=clickhouse.password,
    )


@contextmanager
def _roles(environment: dict[str, str], directory: Path) -> Iterator[None]:
    variables = {**environment, "HOOK_SECRET": SECRET}
    children = [start_role(role, variables, directory) for role in ("stream", "sink", "forwarder")]
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            assert child.wait(15), f"{child.name} does not stop"
    assert [child.exit_code for child in children] == [0, 0, 0]


def _publish(settings: Settings, prefix: str) -> tuple[list[str], dict[str, str]]:
    """Publish good events through the SDK, bad ones among them past it.

    Return the ids of the good, and those of the bad with the code that each must get.
    """
    good, bad = [], {}
    kinds = itertools.cycle(SPOIL.items())
    topic = settings.kafka.topics.events
    past_the_sdk = new_producer(settings.kafka)
    with AuditProducer(settings.kafka.bootstrap_servers, topic=topic) as producer:
        for number in range(EVENTS):
            made = event(number, account={"id": f"{prefix}account-{number % 50}"})
            if number % BAD_EVERY == 0:
                code, spoil = next(kinds)
                bad[made["id"]] = code
                past_the_sdk.produce(topic, spoil(orjson.dumps(made)))
                past_the_sdk.poll(0)
            else:
                producer.emit(made)
                good.append(made["id"])
    assert past_the_sdk.flush(30) == 0
    assert len(good) + len(bad) == EVENTS
    return good, bad


def _check_pages(log: Path, names: tuple[str, ...]) -> None:
    """Every role says that it is alive and how it does, on the port that its log names."""
    found = re.search(r"http://127\.0\.0\.1:\d+(?=/healthz)", log.read_text())
    assert found is not None, log.name

    def page(path: str) -> str:
        with urllib.request.urlopen(found[0] + path, timeout=5) as answer:
            return answer.read().decode()

    assert page("/healthz") == page("/readyz") == "ok\n"

    def untold() -> list[str]:
        text = page("/metrics")
        return [n for n in names if not re.search(rf"^audit_{n}[ {{]", text, re.MULTILINE)]

    # Some are brought up to date every few seconds.
    wait_until(lambda: untold() == [], deadline_s=10, what=f"{log.stem} tells all of {names}")


def _by_command_line(environment: dict[str, str], account: str) -> list[dict]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "auditbus.console", "events"),
            *("--account", account, "--format", "json", "--limit", "1000"),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
