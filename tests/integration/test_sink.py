"""The sink on a real broker and the real engine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import urllib3
from clickhouse_connect.driver.client import Client
from prometheus_client import REGISTRY

from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.consumer import GROUP
from tests.backends.parts import ClickHouse, Kafka
from tests.oracle import ALL_WELL, dead_letters, ids_of, ids_seen, judge
from tests.pipeline import wait_until
from tests.roles import start_role
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


def test_events_are_stored_once_and_then_committed(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    ids = publish_enriched(settings, 3_000, f"{unique_prefix}a")
    with running_sink(settings):
        wait_committed(settings, 3_000)
        ids += publish_enriched(settings, 500, f"{unique_prefix}b")
        wait_committed(settings, 3_500)
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    assert dead_letters(settings) == []


def test_a_bad_row_costs_only_itself(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 15: one bad row among 10,000."""
    account = f"{unique_prefix}a"
    events = [enriched_event(account) for _ in range(10_000)]
    events[7_777]["description"] = {"never": "Q7secret@example.org"}
    publish(settings, map(encode, events), partition=0)
    with running_sink(settings):
        wait_committed(settings, 10_000)
    (letter,) = dead_letters(settings)
    assert letter.value == encode(events[7_777])
    assert letter.key == f"key-{7_777 % 97}".encode()
    assert (letter.code, letter.stage) == ("function_throw_if_value_is_non_zero", "clickhouse-sink")
    assert "a field has the wrong type" in letter.reason
    assert "secret" not in letter.reason
    assert (letter.origin.topic, letter.origin.partition, letter.origin.offset) == (
        settings.kafka.topics.enriched,
        0,
        7_777,
    )
    found = judge([e["id"] for e in events], ids_seen(client, unique_prefix), ids_of([letter]))
    assert found == ALL_WELL


def test_what_is_no_event_goes_to_the_dead_letters(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    good = encode(enriched_event(f"{unique_prefix}a"))
    bad = [None, b"", b"{", b"[1]", b"\xff", b'{"id":7}', good + good, good[:-1]]
    publish(settings, [good, *bad, encode(enriched_event(f"{unique_prefix}a"))], partition=1)
    with running_sink(settings):
        wait_committed(settings, len(bad) + 2)
    letters = dead_letters(settings)
    assert sorted(letter.origin.offset for letter in letters) == list(range(1, len(bad) + 1))
    by_offset = {letter.origin.offset: letter for letter in letters}
    assert [by_offset[offset].value for offset in range(1, len(bad) + 1)] == bad
    assert (by_offset[1].code, by_offset[2].code) == ("tombstone", "empty")
    assert len(ids_seen(client, unique_prefix)) == 2


def test_small_batches_of_many_partitions(
    kafka: Kafka, clickhouse: ClickHouse, client: Client, unique_prefix: str
) -> None:
    settings = sink_settings(kafka, clickhouse, unique_prefix, AUDITBUS_SINK_BATCH_ROWS="7")
    events = [enriched_event(f"{unique_prefix}a") for _ in range(100)]
    for number in (3, 50, 51, 99):
        events[number]["action"] = 5
    publish(settings, map(encode, events))
    with running_sink(settings):
        wait_committed(settings, 100)
    letters = dead_letters(settings)
    assert len(letters) == 4
    found = judge([e["id"] for e in events], ids_seen(client, unique_prefix), ids_of(letters))
    assert found == ALL_WELL


def test_two_sinks_share_the_partitions(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    ids = publish_enriched(settings, 500, f"{unique_prefix}a")
    with running_sink(settings):
        wait_committed(settings, 500)
        with running_sink(settings):
            for _ in range(4):
                ids += publish_enriched(settings, 500, f"{unique_prefix}a")
            wait_committed(settings, 2_500)
        ids += publish_enriched(settings, 500, f"{unique_prefix}a")
        wait_committed(settings, 3_000)
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    assert sum(committed(settings).values()) == 3_000


def test_what_is_stored_is_counted(settings: Settings, unique_prefix: str, client: Client) -> None:
    stored = ("audit_sink_rows_total", {"sink": "clickhouse", "outcome": "stored"})
    before = REGISTRY.get_sample_value(*stored) or 0
    with running_sink(settings):
        publish_enriched(settings, 10, f"{unique_prefix}a")
        wait_committed(settings, 10)
    assert (REGISTRY.get_sample_value(*stored) or 0) - before == 10
    topic = settings.kafka.topics.enriched
    consumed = sum(
        sample.value
        for metric in REGISTRY.collect()
        for sample in metric.samples
        if sample.name == "audit_consumed_events_total" and sample.labels["topic"] == topic
    )
    assert consumed == 10


def test_a_sink_is_ready_only_once_it_has_joined_its_group(
    settings: Settings, kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, tmp_path: Path
) -> None:
    other = new_consumer(settings.kafka, GROUP)
    other.subscribe([settings.kafka.topics.enriched])
    wait_until(
        lambda: other.poll(0.05) is None and len(other.assignment()) == 4,
        deadline_s=30,
        what="the other member has all partitions, and from here on holds up who joins",
    )
    child = start_role("sink", sink_environment(kafka, clickhouse, unique_prefix), tmp_path)
    log = tmp_path / "sink.log"
    wait_until(lambda: "sink_starting" in log.read_text(), deadline_s=30, what="it has started")
    (address,) = re.findall(r"http://127\.0\.0\.1:\d+(?=/healthz)", log.read_text())

    def ready() -> tuple[int, bytes]:
        answer = urllib3.request("GET", f"{address}/readyz", retries=False)
        return answer.status, answer.data

    assert ready() == (503, b"joining the consumer group\n")
    wait_until(
        lambda: other.poll(0.05) is None and ready() == (200, b"ok\n"),
        deadline_s=30,
        what="the other has let it join",
    )
    other.close()
    child.terminate()
    assert child.wait(15)
