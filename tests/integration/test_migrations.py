"""Migrations on the real engine: once, in order, checksummed."""

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.runtime.errors import StoreRefused
from auditbus.sinks.clickhouse import check_migrated, load_migrations, migrate, new_client
from auditbus.sinks.clickhouse.migrations import Migration, load_server_migrations
from tests.backends.parts import ClickHouse
from tests.store import clickhouse_settings, dictionary_user

TABLE = "CREATE TABLE IF NOT EXISTS audit.{} (n UInt8) ENGINE = Memory;\n"


@pytest.fixture
def client(fresh_clickhouse: ClickHouse) -> Iterator[Client]:
    with new_client(clickhouse_settings(fresh_clickhouse)) as made:
        yield made


def tables(client: Client) -> set[str]:
    rows = client.query("SELECT name FROM system.tables WHERE database = 'audit'").result_rows
    return {name for (name,) in rows}


def test_the_packages_migrations_run_once_in_order(client: Client) -> None:
    with pytest.raises(StoreRefused, match="auditbus migrate"):
        check_migrated(client)
    user = dictionary_user(client)
    shown: list[str] = []
    applied = migrate(client, dictionary_user=user, on_applied=lambda m: shown.append(m.name))
    versions = [m.version for m in applied]
    assert versions == sorted(set(versions))
    server = load_server_migrations() if user != "default" else []
    assert shown == [m.name for m in [*load_migrations(), *server]]
    assert {"events", "ingest", "ingest_to_events", "log", "retention"} <= tables(client)
    check_migrated(client)
    assert migrate(client, dictionary_user=user) == []


def test_migrators_at_once(client: Client, fresh_clickhouse: ClickHouse) -> None:
    user = dictionary_user(client)
    failures: list[BaseException] = []

    def run() -> None:
        try:
            with new_client(clickhouse_settings(fresh_clickhouse)) as own:
                migrate(own, dictionary_user=user)
        except BaseException as failure:  # noqa: BLE001
            failures.append(failure)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    check_migrated(client)


def test_a_changed_file_is_refused(client: Client) -> None:
    first = Migration(1, "one", TABLE.format("one"))
    migrate(client, migrations=[first])
    changed = replace(first, text=first.text + "-- a word\n")
    with pytest.raises(StoreRefused, match="0001_one was changed after it was applied"):
        migrate(client, migrations=[changed])


def test_an_older_version_of_auditbus_is_refused(client: Client) -> None:
    first = Migration(1, "one", TABLE.format("one"))
    second = Migration(2, "two", TABLE.format("two"))
    migrate(client, migrations=[first, second])
    with pytest.raises(StoreRefused, match="upgrade auditbus"):
        migrate(client, migrations=[first])


def test_a_file_that_failed_half_way_is_run_again(client: Client) -> None:
    broken = Migration(1, "one", TABLE.format("one") + "CREATE TABLE audit.two (n Nonsense);\n")
    with pytest.raises(StoreRefused, match="0001_one, statement 2"):
        migrate(client, migrations=[broken])
    mended = Migration(1, "one", TABLE.format("one") + "\n-- a; comment;\n" + TABLE.format("two"))
    assert migrate(client, migrations=[mended]) == [mended]
    assert {"one", "two"} <= tables(client)


def test_a_dictionary_user_who_may_not_log_in_is_named(client: Client) -> None:
    with pytest.raises(StoreRefused, match="AUDITBUS_CLICKHOUSE_DICTIONARY_USER"):
        migrate(client, dictionary_user="nobody")
