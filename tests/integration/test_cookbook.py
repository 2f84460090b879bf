"""Every query of docs/cookbook.md finds the planted answer, among weeks of demo traffic."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from tests.backends.parts import ClickHouse
from tests.browser.events import demo_events, insert
from tests.documents import ROOT
from tests.planted_events import Planted, planted
from tests.store import encode, migrated_client, refresh_counts

_ENTRY = re.compile(
    r"^## (?P<question>.+?)\n(?P<text>.*?)^```sql\n(?P<sql>.*?)^```$", re.MULTILINE | re.DOTALL
)
QUERIES = {
    entry["question"]: entry["sql"]
    for entry in _ENTRY.finditer((ROOT / "docs/cookbook.md").read_text())
}
NOW = datetime.now(UTC)
PLANTED = planted(NOW)
_DEMO_EVENTS, _DEMO_DAYS = 2_000, 60


@pytest.fixture(scope="module")
def client(module_clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(module_clickhouse) as made:
        insert(made, demo_events(_DEMO_EVENTS, NOW, days=_DEMO_DAYS))
        insert(made, [encode(event) for plant in PLANTED.values() for event in plant.events])
        refresh_counts(made)
        yield made


def test_there_are_twenty_questions_and_each_has_its_answer() -> None:
    assert len(QUERIES) == 20
    assert (ROOT / "docs/cookbook.md").read_text().count("\n## ") == 20
    assert list(QUERIES) == list(PLANTED)


@pytest.mark.parametrize("question", QUERIES)
def test_the_query_finds_what_was_planted(client: Client, question: str) -> None:
    plant = PLANTED[question]
    sql = re.sub("'(acme|auditbus)'", f"'{plant.account}'", QUERIES[question])
    found = [row for row in client.query(sql).named_results() if _is_of(row, plant)]
    assert len(found) == len(plant.rows), found
    for row, expected in zip(found, plant.rows, strict=True):
        assert {name: row[name] for name in expected} == expected


def _is_of(row: dict[str, Any], plant: Planted) -> bool:
    """Leave out the demo's rows, where a query looks at all accounts."""
    if "account" in row:
        return bool(row["account"] == plant.account)
    if "producer_service" in row:
        return bool(row["producer_service"] == plant.account)
    if "ip_text" in row:
        return any(row["ip_text"] == event["context"]["ip"] for event in plant.events)
    return True
