"""What a feed calls new after the raw topic was made anew: offsets begin again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.query.feed import Feed
from auditbus.console.query.predicate import Predicate
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.store import encode, enriched_event, migrated_client, rfc3339

_BEGAN = datetime.now(UTC)


@pytest.fixture
def store(fresh_clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(fresh_clickhouse) as made:
        yield made


def _put(store: Client, seconds: int, *offsets: int) -> set[str]:
    events = [
        enriched_event(
            received_at=rfc3339(_BEGAN + timedelta(seconds=seconds, milliseconds=offset)),
            origin={"topic": "audit.events", "partition": 0, "offset": offset},
        )
        for offset in offsets
    ]
    Writer(store).insert([encode(event) for event in events], f"test:{uuid7()}")
    return {event["id"] for event in events}


def test_only_what_the_new_topic_brought_is_new(store: Client) -> None:
    _put(store, 0, *range(5_000, 5_005))
    feed = Feed(store)
    feed.start()
    before = feed.cursor.copy()
    anew = _put(store, 60, 0, 1)
    found = feed.look()
    assert {str(event.id) for event in found} == anew
    for event in found:
        feed.cursor.add(event.partition, event.offset)
    assert feed.look() == []
    assert feed.missed(before, feed.cursor, Predicate(), 100) == []
