"""The store that tests share, and one of a test's own: reached the same way, kept over a kill."""

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from tests.backends.parts import ClickHouse


def _connect(store: ClickHouse) -> Client:
    return clickhouse_connect.get_client(
        host=store.host, port=store.port, username=store.username, password=store.password
    )


def test_the_shared_store_answers(clickhouse: ClickHouse) -> None:
    with _connect(clickhouse) as client:
        assert client.query("SELECT 40 + 2").result_rows == [(42,)]


def test_rows_survive_kill_and_stop_at_the_same_address(fresh_clickhouse: ClickHouse) -> None:
    with _connect(fresh_clickhouse) as client:
        client.command("CREATE TABLE kept (n UInt64) ENGINE = MergeTree ORDER BY n")
        client.insert("kept", [[1]], column_names=["n"])
    fresh_clickhouse.kill()
    fresh_clickhouse.start()
    with _connect(fresh_clickhouse) as client:
        client.insert("kept", [[2]], column_names=["n"])
    fresh_clickhouse.stop()
    fresh_clickhouse.start()
    with _connect(fresh_clickhouse) as client:
        assert client.query("SELECT n FROM kept ORDER BY n").result_rows == [(1,), (2,)]
