"""The oracle of docs/faults: where each published event ended up.

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

from auditbus.runtime.settings import Settings
from tests.pipeline import read_topic, topic_messages


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ids, sorted; all empty when every event is in one place, once."""

    missing: list[str]
    repeated: list[str]
    in_both: list[str]
    unexpected: list[str]

    def __bool__(self) -> bool:
        """Say whether all is well."""
        return not (self.missing or self.repeated or self.in_both or self.unexpected)


def judge(published: Iterable[str], seen: Iterable[str], dead: Iterable[str]) -> Verdict:
    """Compare; repeats of a dead letter are allowed, as replaying one is a person's act."""
    wanted, shown, buried = set(published), Counter(seen), set(dead)
    return Verdict(
        missing=sorted(wanted - shown.keys() - buried),
        repeated=sorted(name for name, count in shown.items() if count > 1),
        in_both=sorted(shown.keys() & buried),
        unexpected=sorted(shown.keys() - wanted),
    )


def ids_seen(client: Client, account_prefix: str = "") -> list[str]:
    """Return the ids in the store as readers see them, of accounts whose name begins so."""
    rows = client.query(
        "SELECT toString(id) FROM audit.log WHERE startsWith(account, %(prefix)s)",
        parameters={"prefix": account_prefix},
    ).result_rows
    return [name for (name,) in rows]


def ids_dead(settings: Settings) -> list[str]:
    """Return the ids of the dead letters that still have one."""
    found = []
    for message in topic_messages(settings, settings.kafka.topics.dead_letters):
        try:
            found.append(str(json.loads(message.value() or b"")["id"]))
        except (ValueError, KeyError, TypeError):
            continue  # what is no event was never published with an id
    return found


__all__ = ["Verdict", "ids_dead", "ids_seen", "judge", "read_topic"]
