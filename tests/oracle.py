"""The oracle of the fault tests: where each published event ended up.

Every published id is in exactly one of two places: what readers see (the store, or what a
destination acknowledged) and the dead letters. What is missing and what is repeated are counted
apart, as they have different causes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, TopicPartition

from auditbus.runtime.dead_letters import DeadLetter
from auditbus.runtime.settings import Settings
from tests.pipeline import read_topic


@dataclass(frozen=True, slots=True)
class Findings:
    """Ids, sorted. All empty when every event is in one place, once."""

    missing: list[str]
    repeated: list[str]
    in_both: list[str]
    unexpected: list[str]


ALL_WELL = Findings([], [], [], [])


def judge(published: Iterable[str], seen: Iterable[str], dead: Iterable[str] = ()) -> Findings:
    """Compare. A dead letter may be written twice (at-least-once): that is no repeated event."""
    wanted, shown, buried = set(published), Counter(seen), set(dead)
    return Findings(
        missing=sorted(wanted - shown.keys() - buried),
        repeated=sorted(name for name, count in shown.items() if count > 1),
        in_both=sorted(shown.keys() & buried),
        unexpected=sorted(shown.keys() - wanted),
    )


def ids_seen(client: Client, account_prefix: str) -> list[str]:
    """Return the ids in the store as readers see them, of accounts whose name begins so."""
    rows = client.query(
        "SELECT toString(id) FROM audit.log WHERE startsWith(account, %(prefix)s)",
        parameters={"prefix": account_prefix},
    ).result_rows
    return [name for (name,) in rows]


def dead_letters(settings: Settings) -> list[DeadLetter]:
    """Return every dead letter there is now."""
    topic = settings.kafka.topics.dead_letters
    total = records_in(settings, topic)
    messages = read_topic(settings, topic, until=lambda found: len(found) >= total)
    return [DeadLetter.from_message(message) for message in messages]


def ids_of(letters: Iterable[DeadLetter]) -> list[str]:
    """Return the ids of those dead letters that have one."""
    found = []
    for letter in letters:
        try:
            found.append(str(json.loads(letter.value or b"")["id"]))
        except (ValueError, KeyError, TypeError):
            continue  # no event: nothing was published under an id
    return found


def records_in(settings: Settings, topic: str) -> int:
    """Count the records of a topic that holds no transactions."""
    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "oracle"}
    )
    try:
        partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
        marks = [
            consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=10)
            for number in partitions
        ]
    finally:
        consumer.close()
    return sum(high - low for low, high in marks)
