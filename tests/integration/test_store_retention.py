"""What expires, what stays, and which copy of an event counts (faults 13 and demand 6)."""

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.retention import (
    DEFAULT_DAYS,
    list_retention,
    reconcile_retention,
    set_retention,
)
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.oracle import ALL_WELL, ids_seen, judge
from tests.pipeline import wait_until
from tests.store import days_ago, encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def store(client: Client, events: list[dict[str, object]], token: str) -> None:
    Writer(client).insert([encode(event) for event in events], token)


def received(account: str, days: float, count: int = 10, **fields: object) -> list[dict]:
    """Return events that came in so many days ago."""
    when = days_ago(days)
    return [
        enriched_event(account, **{"received_at": when, "occurred_at": when, **fields})
        for _ in range(count)
    ]


def count_of(client: Client, account: str) -> int:
    query = "SELECT count() FROM audit.events WHERE account = %(account)s"
    (row,) = client.query(query, parameters={"account": account}).result_rows
    return int(row[0])


def days_of(client: Client, account: str) -> set[int]:
    query = "SELECT DISTINCT retention_days FROM audit.log WHERE account = %(account)s"
    rows = client.query(query, parameters={"account": account}).result_rows
    return {days for (days,) in rows}


def hold(client: Client, account: str) -> None:
    client.insert(
        "audit.holds", [[account, True, "case 7"]], column_names=["account", "held", "reason"]
    )
    client.command("SYSTEM RELOAD DICTIONARY audit.hold_by_account")


def expire(client: Client) -> None:
    """Let ClickHouse do at once what it otherwise does within hours."""
    client.command("SYSTEM START TTL MERGES audit.events")
    client.command("OPTIMIZE TABLE audit.events FINAL")
    client.command("OPTIMIZE TABLE audit.events FINAL")


def test_expired_rows_go_and_all_others_stay(client: Client, unique_prefix: str) -> None:
    names = ("default", "young", "long", "forever", "short", "held")
    default, young, long, forever, short, held = (f"{unique_prefix}{name}" for name in names)
    client.command("SYSTEM STOP TTL MERGES audit.events")
    set_retention(client, long, 800)
    set_retention(client, forever, 36_500)
    set_retention(client, short, 1)
    hold(client, held)
    store(client, received(default, DEFAULT_DAYS + 1), f"{default}1")
    store(client, received(young, DEFAULT_DAYS - 1), f"{young}1")
    store(client, received(long, 700), f"{long}1")
    store(client, received(forever, 3_000), f"{forever}1")
    store(client, received(short, 2), f"{short}1")
    store(client, received(held, 900), f"{held}1")
    assert [count_of(client, f"{unique_prefix}{name}") for name in names] == [10] * 6
    expire(client)
    left = {name: count_of(client, f"{unique_prefix}{name}") for name in names}
    assert left == {"default": 0, "young": 10, "long": 10, "forever": 10, "short": 0, "held": 10}


def test_the_producers_clock_neither_deletes_nor_keeps(client: Client, unique_prefix: str) -> None:
    """Fault 13: nine years back or ahead, an event is kept for its period from receipt."""
    past, future, old = (f"{unique_prefix}{name}" for name in ("past", "future", "old"))
    store(client, received(past, 1, occurred_at=days_ago(9 * 365)), past)
    store(client, received(future, 1, occurred_at=days_ago(-9 * 365)), future)
    store(client, received(old, DEFAULT_DAYS + 1, occurred_at=days_ago(-9 * 365)), old)
    expire(client)
    assert [count_of(client, name) for name in (past, future, old)] == [10, 10, 0]


def test_retention_changes_stored_and_new_events(client: Client, unique_prefix: str) -> None:
    account, other = f"{unique_prefix}a", f"{unique_prefix}o'ther"
    client.command("SYSTEM STOP TTL MERGES audit.events")
    store(client, received(account, 300), f"{account}1")
    store(client, received(other, 0), other)
    assert days_of(client, account) == {DEFAULT_DAYS}
    set_retention(client, account, 400)
    assert days_of(client, account) == {400}
    store(client, received(account, 300), f"{account}2")
    assert days_of(client, account) == {400}
    assert days_of(client, other) == {DEFAULT_DAYS}
    expire(client)
    assert count_of(client, account) == 20
    set_retention(client, account, 10)
    set_retention(client, other, 7)
    assert days_of(client, other) == {7}
    expire(client)
    wait_until(lambda: count_of(client, account) == 0, deadline_s=10, what="the shortened ones go")
    listed = {item.account: item.days for item in list_retention(client)}
    assert (listed[account], listed[other]) == (10, 7)


def test_an_insert_that_was_under_way_is_reconciled(client: Client, unique_prefix: str) -> None:
    """Its days came from the dictionary as it was before."""
    account = f"{unique_prefix}a"
    client.insert("audit.retention", [[account, 400]], column_names=["account", "days"])
    store(client, received(account, 0), account)
    assert days_of(client, account) == {DEFAULT_DAYS}
    assert reconcile_retention(client, account) == 10
    assert days_of(client, account) == {400}
    assert reconcile_retention(client, account) == 0


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_days_out_of_range_are_refused(client: Client, days: int) -> None:
    with pytest.raises(ValueError, match="36500"):
        set_retention(client, "acme", days)


def test_a_replayed_batch_and_one_cut_differently(client: Client, unique_prefix: str) -> None:
    events = received(f"{unique_prefix}a", 0, count=1000)
    ids = [event["id"] for event in events]
    store(client, events[:600], f"{unique_prefix}1")
    store(client, events[:600], f"{unique_prefix}1")
    assert count_of(client, f"{unique_prefix}a") == 600
    store(client, events[400:], f"{unique_prefix}2")
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    client.command("OPTIMIZE TABLE audit.events FINAL")
    assert count_of(client, f"{unique_prefix}a") == 1000
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_an_id_published_again_does_not_replace_the_first(
    client: Client, unique_prefix: str
) -> None:
    account = f"{unique_prefix}a"
    first = received(account, 2, count=1)[0]
    again = first | {"received_at": days_ago(1), "description": "nothing happened"}
    query = "SELECT description FROM audit.log WHERE account = %(account)s"
    store(client, [again], f"{account}1")  # whichever is inserted first
    store(client, [first], f"{account}2")
    for _ in range(2):
        rows = client.query(query, parameters={"account": account}).result_rows
        assert rows == [(first["description"],)]
        client.command("OPTIMIZE TABLE audit.events FINAL")
