"""The histogram and the facets in one pass count what a query each counts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from auditbus.console.query import EventFilter, event_predicate
from auditbus.console.query.predicate import Predicate
from auditbus.console.query.selection import select
from auditbus.console.query.statistics import FACETS, Bucket, FacetValue
from auditbus.console.query.survey import oldest, survey
from tests.backends.parts import ClickHouse
from tests.store import days_ago, encode, enriched_event, migrated_client

_STEP = timedelta(hours=6)


def _fill(client: Client, account: str) -> None:
    events = [
        enriched_event(
            account,
            action=f"Action{n % 5}",
            category=("storage", "", "user")[n % 3],
            occurred_at=days_ago(n / 4),
            outcome=("success", "failure")[n % 4 == 0],
            actor={"type": "user", "id": f"u{n % 7}", "name": f"'Ann' {n % 7}"},
            account={"id": account, "name": "Acme Inc."},
            origin={"topic": "audit.events", "partition": 3, "offset": n},
        )
        for n in range(40)
    ]
    body = b"\n".join(map(encode, events))
    client.raw_insert("audit.ingest", insert_block=body, fmt="JSONAsString")


def _histogram(client: Client, wanted: Predicate, step: timedelta) -> list[Bucket]:
    """Count by time, in a query of its own."""
    rows = select(
        client,
        "intDiv(toUnixTimestamp64Milli(time), {step_ms:Int64}) AS bucket, count(),"
        " countIf(outcome = 'failure') FROM audit.log",
        wanted,
        " GROUP BY bucket ORDER BY bucket",
        {"step_ms": step // timedelta(milliseconds=1)},
    )
    epoch = datetime.fromtimestamp(0, UTC)
    return [Bucket(epoch + bucket * step, count, failures) for bucket, count, failures in rows]


def _facet(client: Client, wanted: Predicate, name: str, limit: int) -> list[FacetValue]:
    """Count by one column, in a query of its own."""
    value, label = FACETS[name]
    rows = select(
        client,
        f"{value} AS facet_value, {label}, count() AS events FROM audit.log",
        wanted & Predicate("facet_value != ''"),
        " GROUP BY facet_value ORDER BY events DESC, facet_value LIMIT {most:UInt32}",
        {"most": limit},
    )
    return [FacetValue(*row) for row in rows]


def test_one_pass_counts_what_a_query_each_counts(
    clickhouse: ClickHouse, unique_prefix: str
) -> None:
    client = migrated_client(clickhouse)
    account = f"{unique_prefix}survey"
    _fill(client, account)
    for wanted in (
        event_predicate(EventFilter(accounts=(account,))),
        event_predicate(EventFilter(accounts=(account,), actions=("Action1",))),
        event_predicate(EventFilter(accounts=(f"{account}.nobody",))),
    ):
        found = survey(client, wanted, _STEP, FACETS, 3)
        assert found.buckets == _histogram(client, wanted, _STEP)
        for name in FACETS:
            assert list(found.facets[name]) == _facet(client, wanted, name, 3)
            (alone,) = survey(client, wanted, None, [name], 3).facets.values()
            assert list(alone) == list(found.facets[name])
    client.close()


def test_the_oldest_event(clickhouse: ClickHouse, unique_prefix: str) -> None:
    client = migrated_client(clickhouse)
    account = f"{unique_prefix}oldest"
    wanted = event_predicate(EventFilter(accounts=(account,)))
    assert oldest(client, wanted) is None
    _fill(client, account)
    rows = client.query(
        "SELECT min(time) FROM audit.log WHERE account = {account:String}",
        parameters={"account": account},
        tz_mode="aware",
    ).result_rows
    assert oldest(client, wanted) == rows[0][0]
    client.close()
