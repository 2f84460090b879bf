"""Shorter periods wait and can be cancelled; what goes is said before; each change is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.retention import (
    DEFAULT_DAYS,
    Changed,
    Keeper,
    NotConfirmed,
    Recorded,
    apply_due,
    cancel_change,
    change_period,
    changing,
    days_of,
    forecast,
    going,
    set_hold,
    set_retention,
    waiting_changes,
)
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.store import days_ago, encode, enriched_event, migrated_client

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(client: Client, unique_prefix: str) -> str:
    """An account with one event of each of the ages 1, 10, 20 … 100 days."""
    name = f"{unique_prefix}acme"
    ages = (1, *range(10, 101, 10))
    Writer(client).insert([encode(_received(name, age)) for age in ages], name)
    return name


def _received(account: str, days: float) -> dict[str, Any]:
    return enriched_event(account, received_at=days_ago(days), occurred_at=days_ago(days))


def _change(client: Client, account: str, days: int, **other: Any) -> Changed:
    given: dict[str, Any] = {
        "by": "ann", "now": NOW, "grace": DAY, "record": lambda _: None, "confirmed": None,
    }  # fmt: skip
    return change_period(client, account, days, **{**given, **other})


def _waiting(client: Client, account: str) -> list[int]:
    return [item.days for item in waiting_changes(client) if item.account == account]


def _count(client: Client, account: str) -> int:
    query = "SELECT count() FROM audit.events WHERE account = %(account)s"
    return int(client.query(query, parameters={"account": account}).result_rows[0][0])


def _expire(client: Client) -> None:
    client.command("SYSTEM START TTL MERGES audit.events")
    client.command("OPTIMIZE TABLE audit.events FINAL")
    client.command("OPTIMIZE TABLE audit.events FINAL")


def test_a_shorter_period_waits_then_deletes_what_was_said(client: Client, account: str) -> None:
    recorded: list[Recorded] = []
    client.command("SYSTEM START TTL MERGES audit.events")
    changed = _change(client, account, 45, record=recorded.append)
    assert (changed.days_before, changed.due_at) == (DEFAULT_DAYS, NOW + DAY)
    assert changed.going.events == 6  # of 50 to 100 days; what is 44 days old then stays
    assert (days_of(client, account), _waiting(client, account)) == (DEFAULT_DAYS, [45])
    apply_due(client, NOW + DAY - timedelta(seconds=1), recorded.append)
    _expire(client)
    assert _count(client, account) == 11
    keeper = Keeper(client, recorded.append)
    keeper.step(NOW + DAY)
    assert (days_of(client, account), _waiting(client, account)) == (45, [])
    _expire(client)
    assert _count(client, account) == 11 - changed.going.events
    ours = [one for one in recorded if one.target["id"] == account]
    assert [one.changes[0] for one in ours] == [
        {"field": "days", "before": DEFAULT_DAYS, "after": 45}
    ] * 2
    assert ours[1].metadata["asked_by"] == "ann"
    keeper.step(NOW + DAY)
    assert len([one for one in recorded if one.target["id"] == account]) == len(ours)


def test_more_than_was_confirmed_is_refused(client: Client, account: str) -> None:
    with pytest.raises(NotConfirmed, match="6 events") as refused:
        _change(client, account, 45, confirmed=5)
    assert refused.value.going.events == 6
    assert _waiting(client, account) == []
    _change(client, account, 45, confirmed=6)
    assert _waiting(client, account) == [45]


def test_a_change_that_waits_is_cancelled_or_replaced(client: Client, account: str) -> None:
    recorded: list[Recorded] = []
    _change(client, account, 45)
    _change(client, account, 60)
    assert _waiting(client, account) == [60]
    assert cancel_change(client, account, by="bob", record=recorded.append)
    assert not cancel_change(client, account, by="bob", record=recorded.append)
    assert recorded[0].changes == ({"field": "pending_days", "before": 60, "after": None},)
    assert len(recorded) == 1
    applied = apply_due(client, NOW + 9 * DAY, recorded.append)
    assert account not in {item.account for item in applied}
    _change(client, account, 45)
    longer = _change(client, account, 400)
    assert (longer.due_at, _waiting(client, account)) == (None, [])
    apply_due(client, NOW + 9 * DAY, recorded.append)
    assert days_of(client, account) == 400


def test_what_cannot_be_recorded_is_not_done(client: Client, account: str) -> None:
    def fail(_: Recorded) -> None:
        raise OSError("Kafka is down")

    for days in (45, 400):
        with pytest.raises(OSError, match="Kafka"):
            _change(client, account, days, record=fail)
    assert (days_of(client, account), _waiting(client, account)) == (DEFAULT_DAYS, [])
    _change(client, account, 45)
    with pytest.raises(OSError, match="Kafka"):
        cancel_change(client, account, by="bob", record=fail)
    with pytest.raises(OSError, match="Kafka"):
        apply_due(client, NOW + 9 * DAY, fail)
    assert (days_of(client, account), _waiting(client, account)) == (DEFAULT_DAYS, [45])
    assert cancel_change(client, account, by="bob", record=lambda _: None)


def test_without_grace_it_is_done_at_once(client: Client, account: str) -> None:
    changed = _change(client, account, 45, grace=timedelta(0))
    assert (changed.due_at, changed.going.events, days_of(client, account)) == (None, 6, 45)


def test_the_forecast_is_what_then_expires(client: Client, account: str) -> None:
    client.command("SYSTEM STOP TTL MERGES audit.events")
    set_retention(client, account, 95)
    found = forecast(client, NOW + 30 * DAY, "day", account)
    # 90, 80 and 70 days old. The one of 100 went with the mutation that gave it its 95 days.
    ages = [(item.start.date() - NOW.date()).days for item in found]
    assert [item.events for item in found] == [1] * 3
    assert ages == [5, 15, 25]
    assert all(item.bytes > 500 for item in found)
    weeks = forecast(client, NOW + 30 * DAY, "week", account)
    assert sum(item.events for item in weeks) == 3
    assert {item.start.weekday() for item in weeks} == {0}
    assert forecast(client, NOW + 30 * DAY, "day")  # of all accounts
    assert going(client, account, 45, NOW).events == 5
    set_hold(client, account=account, reason="case", by="ann", now=NOW, record=lambda _: None)
    assert forecast(client, NOW + 30 * DAY, "day", account) == []
    assert going(client, account, 45, NOW).events == 0


def test_what_could_not_be_rewritten_is_recorded_once_and_done_later(
    client: Client, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mutation may take longer than a request."""
    recorded: list[Recorded] = []
    _change(client, account, 45)

    def fail(*_: object) -> int:
        raise OSError("timed out")

    monkeypatch.setattr(changing, "reconcile_retention", fail)
    keeper = Keeper(client, recorded.append)
    for _ in range(2):
        keeper.step(NOW + DAY)
    assert [one.target["id"] for one in recorded].count(account) == 1
    assert _waiting(client, account) == []
    query = "SELECT DISTINCT retention_days FROM audit.events WHERE account = %(account)s"
    days = client.query(query, parameters={"account": account}).result_rows
    assert days == [(45,)]


def test_a_keeper_that_fails_goes_on(client: Client, account: str) -> None:
    def fail(_: Recorded) -> None:
        raise OSError("Kafka is down")

    _change(client, account, 45)
    moment = [0.0]
    keeper = Keeper(client, fail, lambda: moment[0])
    keeper.step(NOW + DAY)  # looks at all events all the same
    assert _waiting(client, account) == [45]
    client.insert("audit.retention", [[account, 400]], column_names=["account", "days"])
    keeper.step(NOW)
    query = "SELECT DISTINCT retention_days FROM audit.events WHERE account = %(account)s"
    assert client.query(query, parameters={"account": account}).result_rows == [(DEFAULT_DAYS,)]
    moment[0] = 3_600.0
    keeper.step(NOW)
    assert client.query(query, parameters={"account": account}).result_rows == [(400,)]
    assert cancel_change(client, account, by="bob", record=lambda _: None)
