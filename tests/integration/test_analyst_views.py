"""What analysts read: audit.activity, and the daily counts, on the real engine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv6Address
from typing import Any
from uuid import UUID

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.erasure import Erasure, erase
from auditbus.console.retention import set_retention
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.store import days_ago, encode, enriched_event, migrated_client, refresh_counts

# Without a zone, as clickhouse-connect gives times in UTC.
_WHEN = datetime(2026, 10, 5, 7, 8, 9, 120_000)  # noqa: DTZ001
_RECEIVED = _WHEN + timedelta(seconds=1)
_TEXT = "2026-10-05T07:08:09.120Z", "2026-10-05T07:08:10.120Z"
Counts = dict[tuple[date, str, str, str], int]


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


def _insert(client: Client, *events: dict[str, Any]) -> None:
    """Store events as a batch of their own: a second time is a replay, not a retry."""
    Writer(client).insert([encode(event) for event in events], f"test:{uuid7()}")


def _counts(client: Client, account: str) -> Counts:
    """Count anew, and return the account's events by day, category, action and outcome."""
    refresh_counts(client)
    rows = client.query(
        "SELECT day, category, action, outcome, events FROM audit.daily_counts "
        "WHERE account = %(account)s",
        parameters={"account": account},
    ).result_rows
    counts: Counts = {tuple(row[:4]): row[4] for row in rows}
    assert len(counts) == len(rows), "two rows of one key"
    return counts


def _received(account: str, days: float, **fields: Any) -> dict[str, Any]:
    when = days_ago(days)
    return enriched_event(account, **{"occurred_at": when, "received_at": when, **fields})


def _expire(client: Client) -> None:
    client.command("SYSTEM START TTL MERGES audit.events")
    client.command("OPTIMIZE TABLE audit.events FINAL")
    client.command("OPTIMIZE TABLE audit.events FINAL")


def _today() -> date:
    return datetime.now(UTC).date()


class TestActivity:
    def test_every_column_has_a_plain_name_and_a_comment(self, client: Client) -> None:
        described = list(client.query("DESCRIBE audit.activity").named_results())
        for column in described:
            assert column["name"].replace("_", "").isalnum()
            assert column["name"] == column["name"].lower()
            assert len(column["comment"]) > 5, column["name"]
        assert len({column["comment"] for column in described}) == len(described)
        counts = list(client.query("DESCRIBE audit.daily_counts").named_results())
        assert all(column["comment"] for column in counts)

    def test_every_column_has_what_was_sent(self, client: Client, account: str) -> None:
        event = enriched_event(
            account,
            occurred_at=_TEXT[0],
            received_at=_TEXT[1],
            outcome="failure",
            error={"code": "denied", "message": "may not"},
            actor={
                "type": "user", "id": "u-17", "name": "Ann", "email": "ann@example.org",
                "credential": {"type": "api_token", "id": "k-1"},
                "on_behalf_of": {"type": "user", "id": "u-18"},
            },
            targets=[
                {"type": "storage", "id": "s-9", "name": "backups"},
                {"type": "region", "id": "eu", "name": "Europe"},
            ],
            context={
                "ip": "81.2.69.142", "user_agent": "curl/8.0",
                "session_id": "s1", "request_id": "r1",
            },
            location={
                "country_code": "GB", "country": "United Kingdom", "region": "England",
                "city": "London", "label": "London, United Kingdom",
                "latitude": 51.5, "longitude": -0.125,
            },
            device={"type": "tool", "label": "curl 8.0", "os": "Linux", "browser": "curl"},
            producer={"service": "billing", "instance": "b-1", "epoch": 1795580003908616, "seq": 7},
        )  # fmt: skip
        _insert(client, event)
        assert self._only(client, account) == {
            "id": UUID(event["id"]),
            "time": _WHEN,
            "received_at": _RECEIVED,
            "account": account,
            "account_name": "Acme Inc.",
            "action": "StorageDeleted",
            "category": "storage",
            "operation": "delete",
            "description": "deleted storage backups",
            "outcome": "failure",
            "actor_type": "user",
            "actor_id": "u-17",
            "actor_name": "Ann",
            "actor_email": "ann@example.org",
            "credential_type": "api_token",
            "on_behalf_of": "u-18",
            "targets": "storage backups s-9, region Europe eu",
            "target_type": "storage",
            "target_id": "s-9",
            "ip": IPv6Address("::ffff:81.2.69.142"),
            "ip_text": "81.2.69.142",
            "user_agent": "curl/8.0",
            "country_code": "GB",
            "country": "United Kingdom",
            "region": "England",
            "city": "London",
            "location": "London, United Kingdom",
            "latitude": 51.5,
            "longitude": -0.125,
            "device": "curl 8.0",
            "device_type": "tool",
            "os": "Linux",
            "browser": "curl",
            "error_code": "denied",
            "error_message": "may not",
            "session_id": "s1",
            "request_id": "r1",
            "producer_service": "billing",
            "producer_instance": "b-1",
            "producer_epoch": "1795580003908616",
            "producer_seq": 7,
            "event": encode(event).decode(),
        }

    def test_what_was_not_sent_is_empty(self, client: Client, account: str) -> None:
        absent = ("actor", "targets", "context", "location", "device", "description")
        _insert(client, enriched_event(account, **dict.fromkeys(absent, ...)))
        row = self._only(client, account)
        empty = (
            *("credential_type", "on_behalf_of", "target_type", "target_id", "targets", "actor_id"),
            *(
                "session_id",
                "request_id",
                "producer_service",
                "producer_epoch",
                "country",
                "device",
            ),
        )
        assert {name: row[name] for name in empty} == dict.fromkeys(empty, "")
        assert (row["latitude"], row["longitude"], row["producer_seq"]) == (0, 0, 0)
        assert row["outcome"] == "success"

    def test_text_instead_of_numbers_breaks_no_query(self, client: Client, account: str) -> None:
        """The stream would not write it; an import of somebody's own might."""
        event = enriched_event(
            account,
            producer={"service": "x", "instance": 'a"b', "epoch": "e-1", "seq": "many"},
            actor={"type": "user", "id": "u1", "credential": "none"},
        )
        _insert(client, event)
        row = self._only(client, account)
        assert (row["producer_epoch"], row["producer_seq"]) == ("e-1", 0)
        assert (row["producer_instance"], row["credential_type"]) == ('a"b', "")

    def test_a_replayed_event_is_one_row_and_the_first_copy(
        self, client: Client, account: str
    ) -> None:
        first = enriched_event(account, received_at=days_ago(0.02))
        again = {**first, "received_at": days_ago(0.01), "description": "forged"}
        for copy in (first, first, again, again):
            _insert(client, copy)
        row = self._only(client, account)
        assert row["description"] == first["description"]
        assert json.loads(row["event"]) == first

    def _only(self, client: Client, account: str) -> dict[str, Any]:
        query = "SELECT * FROM audit.activity WHERE account = %(account)s"
        rows = list(client.query(query, parameters={"account": account}).named_results())
        assert len(rows) == 1
        return dict(rows[0])


class TestDailyCounts:
    def test_events_are_counted_by_day_action_and_outcome(
        self, client: Client, account: str
    ) -> None:
        backup = {"action": "BackupDeleted", "category": "backup"}
        _insert(
            client,
            *(enriched_event(account, occurred_at="2026-11-01T23:59:59.999Z") for _ in range(3)),
            enriched_event(account, occurred_at="2026-11-02T00:00:00.000Z"),
            enriched_event(account, occurred_at="2026-11-02T00:00:00.000Z", outcome="failure"),
            enriched_event(account, occurred_at="2026-11-02T12:00:00.000Z", **backup),
        )
        first, second = date(2026, 11, 1), date(2026, 11, 2)
        assert _counts(client, account) == {
            (first, "storage", "StorageDeleted", "success"): 3,
            (second, "storage", "StorageDeleted", "success"): 1,
            (second, "storage", "StorageDeleted", "failure"): 1,
            (second, "backup", "BackupDeleted", "success"): 1,
        }

    def test_a_replayed_event_is_counted_once(self, client: Client, account: str) -> None:
        event = enriched_event(account)
        for _ in range(3):
            _insert(client, event)
        assert sum(_counts(client, account).values()) == 1
        _insert(client, event)
        assert sum(_counts(client, account).values()) == 1

    def test_a_late_event_is_counted_on_the_day_it_happened(
        self, client: Client, account: str
    ) -> None:
        _insert(client, enriched_event(account))
        assert {day for day, *_ in _counts(client, account)} == {_today()}
        _insert(client, enriched_event(account, occurred_at="2026-06-07T08:09:10.000Z"))
        counts = _counts(client, account)
        assert counts[date(2026, 6, 7), "storage", "StorageDeleted", "success"] == 1
        assert sum(counts.values()) == 2

    def test_what_has_expired_is_not_counted_any_more(self, client: Client, account: str) -> None:
        client.command("SYSTEM STOP TTL MERGES audit.events")
        _insert(client, _received(account, 181), _received(account, 5))
        _expire(client)
        assert sum(_counts(client, account).values()) == 1

    def test_what_a_shorter_retention_deletes_is_not_counted_any_more(
        self, client: Client, account: str
    ) -> None:
        _insert(client, *(_received(account, days) for days in (1, 20, 40)))
        assert sum(_counts(client, account).values()) == 3
        set_retention(client, account, 30)
        _expire(client)
        assert sum(_counts(client, account).values()) == 2
        set_retention(client, account, 10)
        _expire(client)
        assert sum(_counts(client, account).values()) == 1

    def test_that_an_erased_event_happened_is_counted_once(
        self, client: Client, account: str, unique_prefix: str
    ) -> None:
        """It is written anew and the original deleted: neither twice nor not at all."""
        user = f"{unique_prefix}u-17"
        event = enriched_event(account, actor={"type": "user", "id": user})
        _insert(client, event, enriched_event(account))
        before = _counts(client, account)
        asked = Erasure(
            id=uuid7(), user=user, account=None, until=datetime.now(UTC), requested_by="ops"
        )
        assert erase(client, asked) == 0
        assert _counts(client, account) == before
        _insert(client, event)
        assert _counts(client, account) == before

    def test_they_are_counted_every_hour(self, client: Client) -> None:
        _counts(client, "")
        (row,) = client.query(
            "SELECT exception, last_success_time, next_refresh_time FROM system.view_refreshes "
            "WHERE view = 'daily_counts_refresh'"
        ).result_rows
        exception, done, following = row
        assert exception == ""
        # At each full hour, give or take five minutes.
        assert timedelta(minutes=-5) < following - done < timedelta(hours=1, minutes=5)

    def test_a_reader_never_sees_a_count_half_done(self, client: Client, account: str) -> None:
        """A refresh fills another table and exchanges the two."""
        _insert(client, *(enriched_event(account) for _ in range(50)))
        assert sum(_counts(client, account).values()) == 50
        client.command("SYSTEM REFRESH VIEW audit.daily_counts_refresh")
        for _ in range(20):
            query = "SELECT sum(events) FROM audit.daily_counts WHERE account = %(account)s"
            assert client.query(query, parameters={"account": account}).result_rows == [(50,)]
        client.command("SYSTEM WAIT VIEW audit.daily_counts_refresh")

    @pytest.mark.parametrize("keys", ["day", "day, outcome", "day, category", "day, action"])
    def test_a_chart_is_answered_by_sums_that_are_kept(self, client: Client, keys: str) -> None:
        """What makes a year quick: a projection, by the engine's own word."""
        query = (
            f"SELECT {keys}, sum(events) FROM audit.daily_counts "
            f"WHERE day > today() - 365 GROUP BY {keys}"
        )
        plan = "\n".join(line for (line,) in client.query(f"EXPLAIN {query}").result_rows)
        assert "by_day_and_action" in plan
        kept = client.query(f"{query} ORDER BY ALL").result_rows
        settings = {"optimize_use_projections": 0}
        assert kept == client.query(f"{query} ORDER BY ALL", settings=settings).result_rows
