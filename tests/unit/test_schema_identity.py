"""Ids, timestamps and topic names."""

import threading
import time
import uuid
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus import schemas
from auditbus.schemas import (
    TopicNames,
    format_epoch_ms,
    is_uuid7,
    parse_rfc3339,
    topic_specs,
    uuid7,
)
from auditbus.schemas.ids import derived_uuid7


@given(st.integers(0, 2**48 - 1))
def test_a_uuid7_holds_its_time_version_and_variant(epoch_ms: int) -> None:
    text = uuid7(epoch_ms)
    made = uuid.UUID(text)
    assert text == str(made)
    assert made.int >> 80 == epoch_ms
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert is_uuid7(text)
    assert is_uuid7(text.upper())


def test_a_uuid7_takes_the_time_of_now_and_sorts_by_it() -> None:
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(uuid7())
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000
    assert uuid7(1_000) < uuid7(1_001)


def test_ids_of_one_millisecond_from_several_threads_differ() -> None:
    made: list[str] = []

    def make() -> None:
        made.extend([uuid7(1_763_805_600_000) for _ in range(5_000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 20_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "019cd000000070008000000000000001",
        "019cd000-0000-4000-8000-000000000001",  # version 4
        "019cd000-0000-7000-c000-000000000001",  # not RFC 9562's variant
        "{019cd000-0000-7000-8000-000000000001}",
        "019cd000-0000-7000-8000-00000000000g",
        "019cd000-0000-7000-8000-000000000001\n",
    ],
)
def test_what_is_no_uuid7(text: str) -> None:
    assert not is_uuid7(text)


@pytest.mark.parametrize(
    ("text", "microsecond"),
    [
        ("2026-11-22T10:00:00Z", 0),
        ("2026-11-22T10:00:00.1Z", 100_000),
        ("2026-11-22T10:00:00.123Z", 123_000),
        ("2026-11-22T10:00:00.123456+00:00", 123_456),
        ("2026-11-22T10:00:00.123456999Z", 123_456),  # cut, never rounded up
    ],
)
def test_timestamps_are_read_to_the_microsecond(text: str, microsecond: int) -> None:
    assert parse_rfc3339(text) == datetime(2026, 11, 22, 10, 0, 0, microsecond, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-22",
        "2026-11-22 10:00:00Z",
        "2026-11-22T10:00:00",
        "2026-11-22T10:00:00z",
        "2026-11-22T10:00Z",
        "20261122T100000Z",
        "2026-W47-7T10:00:00Z",
        "2026-11-22T10:00:00,5Z",
        "2026-11-22T10:00:00.Z",
        "2026-11-22T10:00:00.1234567890Z",
        "2026-11-22T10:00:00-00:00",
        "2026-11-22T10:00:00+01:00",
        "2026-02-30T10:00:00Z",
        "2026-11-22T24:00:00Z",
        "2026-11-22T10:60:00Z",
        "2026-12-31T23:59:60Z",  # a leap second: no clock of ours can hold it
        "0000-01-01T00:00:00Z",
        "٢٠٢٦-11-22T10:00:00Z",  # digits, but not ASCII's
        " 2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00Z\n",
    ],
)
def test_other_forms_and_times_that_do_not_exist_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rfc3339(text)


@given(st.integers(0, 253_402_300_799_999))
def test_a_formatted_instant_reads_back(epoch_ms: int) -> None:
    text = format_epoch_ms(epoch_ms)
    assert len(text) == len("2026-11-22T10:00:00.123Z")
    moment = parse_rfc3339(text)
    assert round(moment.timestamp() * 1000) == epoch_ms


def test_the_topics_are_those_of_the_design() -> None:
    assert list(TopicNames()) == [
        "audit.events",
        "audit.events.enriched",
        "audit.signals",
        "audit.alerts",
        "audit.dead-letters",
        "audit.forwarder.dead-letters",
        "audit.forwarder.control",
    ]
    assert list(TopicNames.with_prefix("stage.")) == [f"stage.{name}" for name in TopicNames()]


def test_each_topic_has_its_configuration() -> None:
    names = TopicNames()
    specs = {
        spec.name: spec
        for spec in topic_specs(names, partitions=12, replication_factor=3, min_insync_replicas=2)
    }
    assert set(specs) == set(names)
    assert specs[names.events].config["message.timestamp.type"] == "LogAppendTime"
    assert specs[names.events].config["retention.ms"] == str(7 * 24 * 3600 * 1000)
    assert specs[names.dead_letters].config["retention.ms"] == "-1"
    assert specs[names.forwarder_dead_letters].config["retention.ms"] == "-1"
    assert specs[names.forwarder_control].config["cleanup.policy"] == "compact"
    # A dead letter must hold what the broker took as a record, and its headers on top.
    assert int(specs[names.dead_letters].config["max.message.bytes"]) > 1024 * 1024
    for name in (names.events, names.enriched, names.signals, names.alerts):
        assert specs[name].partitions == 12
    assert {spec.replication_factor for spec in specs.values()} == {3}
    assert {spec.config["min.insync.replicas"] for spec in specs.values()} == {"2"}


def test_everything_the_schemas_offer_exists() -> None:
    assert len(schemas.__all__) == len(set(schemas.__all__))
    assert all(hasattr(schemas, name) for name in schemas.__all__)


def test_an_id_is_derived_from_time_and_source_alone() -> None:
    made = derived_uuid7(1_763_636_400_123, "cloudtrail", b"one")
    assert is_uuid7(made)
    assert made == derived_uuid7(1_763_636_400_123, "cloudtrail", b"one")
    assert int(made.replace("-", "")[:12], 16) == 1_763_636_400_123
    others = {
        derived_uuid7(1_763_636_400_124, "cloudtrail", b"one"),
        derived_uuid7(1_763_636_400_123, "github", b"one"),
        derived_uuid7(1_763_636_400_123, "cloudtrail", b"two"),
        derived_uuid7(1_763_636_400_123, "cloudtrailo", b"ne"),
    }
    assert made not in others
    assert len(others) == 4
    # Published ids must stay what they are: whoever imports again relies on it.
    assert made == "019aa0eb-cffb-7d9a-9298-be6874058b6e"
