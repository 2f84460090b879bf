"""The stream killed, joined and left under load: nothing published is missing afterwards."""

from __future__ import annotations

import collections
import itertools
import json
import time
from pathlib import Path

from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.integration.test_stream import start_stream
from tests.pipeline import (
    environment_of,
    publish_events,
    read_topic,
    settings_with_topics,
    wait_until,
)

KILLS = 5
EVENTS_A_ROUND = 12_000


class CommittedOffsets:
    """How many records the stream's group has committed, all partitions together."""

    def __init__(self, settings: Settings) -> None:
        self._kafka = settings.kafka

    def total(self) -> int:
        progress = group_progress(self._kafka, "stream", self._kafka.topics.events)
        return sum(part.committed or 0 for part in progress)

    def wait_for(self, total: int) -> None:
        wait_until(
            lambda: self.total() >= total, deadline_s=90, what=f"{total} records are committed"
        )


def ids_on(settings: Settings, topic: str, expected: set[str]) -> collections.Counter[str]:
    """Read `topic` until every expected id was seen; the counter shows repeats."""
    seen: collections.Counter[str] = collections.Counter()
    counted = 0

    def complete(messages: list) -> bool:
        nonlocal counted
        seen.update(json.loads(m.value())["id"] for m in itertools.islice(messages, counted, None))
        counted = len(messages)
        return expected <= seen.keys()

    read_topic(settings, topic, until=complete, deadline_s=120)
    return seen


def test_kill_dash_nine_in_mid_stream_five_times_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    committed = CommittedOffsets(settings)
    published: list[str] = []
    interrupted = 0
    for number in range(2 * KILLS):
        child = start_stream(environment, tmp_path, f"stream{number}")
        before = committed.total()
        published += publish_events(settings, EVENTS_A_ROUND)
        committed.wait_for(before + 1)
        published += publish_events(settings, EVENTS_A_ROUND)
        child.kill()
        assert child.wait(10)
        interrupted += committed.total() < len(published)
        if interrupted == KILLS:
            break
    assert interrupted == KILLS, "too few kills came in mid-stream"

    last = start_stream(environment, tmp_path, "last")
    seen = ids_on(settings, settings.kafka.topics.enriched, set(published))
    last.terminate()
    last.wait(10)

    missing = set(published) - seen.keys()
    assert not missing, f"{len(missing)} of {len(published)} are missing"
    assert seen.keys() <= set(published)


def holders(settings: Settings) -> int:
    """How many workers hold partitions of the raw topic."""
    group = settings.kafka.group("stream")
    admin = new_admin(settings.kafka)
    found = admin.describe_consumer_groups([group])[group].result(10)
    return sum(1 for m in found.members if m.assignment and m.assignment.topic_partitions)


def test_a_second_worker_joining_and_leaving_under_load_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    committed = CommittedOffsets(settings)
    first = start_stream(environment, tmp_path, "first")
    published = publish_events(settings, EVENTS_A_ROUND)
    committed.wait_for(1)
    for number in range(2):
        joining = start_stream(environment, tmp_path, f"joining{number}")
        deadline = time.monotonic() + 40
        while holders(settings) < 2:
            assert time.monotonic() < deadline, "the second worker gets no partitions"
            published += publish_events(settings, EVENTS_A_ROUND // 20)
        committed.wait_for(int(len(published) * 0.9))
        published += publish_events(settings, EVENTS_A_ROUND)
        joining.terminate()
        published += publish_events(settings, EVENTS_A_ROUND)
        assert joining.wait(15)
        assert joining.exit_code == 0

    seen = ids_on(settings, settings.kafka.topics.enriched, set(published))
    assert first.running
    committed.wait_for(len(published))
    first.terminate()
    first.wait(10)

    missing = set(published) - seen.keys()
    assert not missing, f"{len(missing)} of {len(published)} are missing"
