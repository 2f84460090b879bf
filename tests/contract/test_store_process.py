"""The store as a process: one owner of a directory, secrets, stopping, being killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from clickhouse_connect.driver.exceptions import ClickHouseError

from auditbus.deploy.local.store import read_announcement, store_command
from tests.contract.embedded_store import (
    PASSWORD,
    STOP_S,
    RunningStore,
    running_store,
    start_store,
)

TABLE = "CREATE TABLE audit.t (n UInt64) ENGINE = MergeTree ORDER BY n"


def wait_for(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def make_table(store: RunningStore) -> None:
    store.client().command("CREATE DATABASE audit")
    store.client().command(TABLE)


def count(store: RunningStore) -> int:
    return int(store.request("SELECT count() FROM audit.t").data)


def test_it_announces_itself_in_one_line(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        version = store.client().server_version
        assert store.url == f"http://127.0.0.1:{store.port}"
    with start_store(tmp_path) as process:
        assert process.stdout is not None
        address = read_announcement(process.stdout)
        process.terminate()
        rest, _ = process.communicate(timeout=STOP_S)
    assert address is not None
    assert address.engine_version == version
    assert rest == b""


def test_it_takes_the_port_it_is_given(tmp_path: Path) -> None:
    with running_store(tmp_path / "one") as store:
        taken = subprocess.run(
            store_command(tmp_path / "two", store.port),
            env={"AUDITBUS_CLICKHOUSE_PASSWORD": PASSWORD},
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert taken.returncode == 3
    assert str(store.port) in taken.stderr.decode()


@pytest.mark.parametrize("password", [{}, {"AUDITBUS_CLICKHOUSE_PASSWORD": ""}])
def test_it_does_not_start_without_a_password(tmp_path: Path, password: dict[str, str]) -> None:
    refused = subprocess.run(
        store_command(tmp_path), env=password, capture_output=True, timeout=30, check=False
    )
    assert refused.returncode == 2
    assert "AUDITBUS_CLICKHOUSE_PASSWORD" in refused.stderr.decode()
    assert refused.stdout == b""


def test_the_password_may_be_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n")
    environment = {"AUDITBUS_CLICKHOUSE_PASSWORD_FILE": str(secret)}
    command = store_command(tmp_path / "store")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        address = read_announcement(process.stdout)
        assert address is not None
        assert RunningStore(process, address.url).client().command("SELECT 1") == 1
        process.terminate()


def test_the_password_is_not_on_the_command_line(tmp_path: Path) -> None:
    assert PASSWORD not in " ".join(store_command(tmp_path))


def test_a_second_process_is_refused_and_named_the_first(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        with start_store(tmp_path) as second:
            _, reason = second.communicate(timeout=30)
        assert second.returncode == 3
        assert f"{tmp_path} is in use by process {store.process.pid}" in reason.decode()
        assert store.client().command("SELECT 1") == 1


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    acknowledged: list[int] = []

    def insert(store: RunningStore) -> None:
        try:
            client = store.client()
            for n in range(100_000):
                client.raw_insert("audit.t", insert_block=b"%d\n" % n, fmt="TSV")
                acknowledged.append(n)
        except (ClickHouseError, OSError):
            pass  # killed

    with running_store(tmp_path) as store:
        make_table(store)
    for _ in range(3):
        acknowledged.clear()
        with running_store(tmp_path) as store:
            store.request("TRUNCATE TABLE audit.t")
            inserting = threading.Thread(target=insert, args=[store])
            inserting.start()
            wait_for(lambda: len(acknowledged) > 20)
            store.process.kill()
            inserting.join()
        with running_store(tmp_path) as store:
            rows = store.client().query("SELECT n FROM audit.t ORDER BY n").result_columns[0]
            # One more may be stored than was acknowledged: its answer was lost.
            assert list(rows)[: len(acknowledged)] == acknowledged
            assert len(rows) - len(acknowledged) in {0, 1}
            assert not list((tmp_path / "incoming").iterdir())


def test_a_stop_lets_an_insert_finish(tmp_path: Path) -> None:
    answers: list[int] = []

    def insert(store: RunningStore) -> None:
        slow = "INSERT INTO audit.t SELECT number + sleepEachRow(0.5) FROM numbers(3)"
        answers.append(store.request(slow, query={"max_block_size": "1"}).status)

    with running_store(tmp_path) as store:
        make_table(store)
        inserting = threading.Thread(target=insert, args=[store])
        inserting.start()
        running = "SELECT count() FROM system.processes WHERE query LIKE 'INSERT%'"
        wait_for(lambda: int(store.request(running).data) == 1)
        store.process.send_signal(signal.SIGTERM)
        assert store.process.wait(STOP_S) == 0
        inserting.join()
    assert answers == [200]
    with running_store(tmp_path) as store:
        assert count(store) == 3


def test_a_stop_does_not_wait_for_readers(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        make_table(store)
        endless = store.client().raw_stream("SELECT number FROM numbers(1e15)", fmt="TSV")
        endless.read(1000)
        store.request("INSERT INTO audit.t VALUES (1)")
        begin = time.monotonic()
        store.process.terminate()
        assert store.process.wait(STOP_S) == 0
        assert time.monotonic() - begin < 6
        endless.close()
    with running_store(tmp_path) as store:
        assert count(store) == 1


def test_tables_and_settings_are_there_after_a_restart(tmp_path: Path) -> None:
    with running_store(tmp_path) as store:
        make_table(store)
        client = store.client()
        client.command("CREATE TABLE unqualified (n UInt8) ENGINE = MergeTree ORDER BY n")
        client.command(
            "CREATE DICTIONARY audit.d (n UInt64, m UInt64) PRIMARY KEY n "
            "SOURCE(CLICKHOUSE(QUERY 'SELECT n, n + 1 AS m FROM audit.t')) "
            "LIFETIME(MIN 1 MAX 2) LAYOUT(FLAT())"
        )
        client.command("INSERT INTO audit.t VALUES (1)")
    with running_store(tmp_path) as store:
        client = store.client()
        client.command("SYSTEM RELOAD DICTIONARY audit.d")
        assert client.command("SELECT dictGet('audit.d', 'm', toUInt64(1))") == 2
        assert client.command("EXISTS TABLE unqualified") == 1


def test_the_engine_opens_nothing_in_a_refused_start() -> None:
    """Importing the package alone must not load the engine, which takes 250 MB."""
    code = "import sys, auditbus.deploy.local.store; sys.exit('chdb' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
