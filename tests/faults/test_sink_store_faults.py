"""The sink against the faults of ClickHouse: down, full, changed, an answer that is lost."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.runtime.errors import StoreRefused
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse import writer
from auditbus.sinks.clickhouse.migrations import load_migrations
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.oracle import ALL_WELL, dead_letters, ids_seen, judge
from tests.pipeline import wait_until
from tests.sinks import (
    committed,
    publish_enriched,
    running_sink,
    sink_settings,
    wait_committed,
)
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture
def client(fresh_clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(fresh_clickhouse) as made:
        yield made


@pytest.fixture
def settings(
    kafka: Kafka, fresh_clickhouse: ClickHouse, unique_prefix: str, client: Client
) -> Settings:
    return sink_settings(kafka, fresh_clickhouse, unique_prefix)


class Retries:
    """Waits until the sink has tried an insert again."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures: list[str] = []
        original = Writer.insert

        def counted(writer: Writer, *args: object) -> None:
            try:
                original(writer, *args)  # type: ignore[arg-type]
            except Exception as failure:
                self.failures.append(str(getattr(failure, "name", failure)))
                raise

        monkeypatch.setattr(Writer, "insert", counted)

    def wait(self, count: int = 2) -> None:
        wait_until(
            lambda: len(self.failures) >= count, deadline_s=40, what=f"{count} failed inserts"
        )


@pytest.fixture
def retries(monkeypatch: pytest.MonkeyPatch) -> Retries:
    return Retries(monkeypatch)


def test_too_many_parts(
    settings: Settings, client: Client, retries: Retries, unique_prefix: str
) -> None:
    """Faults 1 and 12: offsets stay, later events do not overtake, it recovers by itself."""
    limits = "parts_to_delay_insert = {0}, parts_to_throw_insert = {0}"
    client.command("SYSTEM STOP MERGES audit.events")
    Writer(client).insert([encode(enriched_event(f"{unique_prefix}0"))], "t1")
    client.command(f"ALTER TABLE audit.events MODIFY SETTING {limits.format(1)}")
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 100, f"{unique_prefix}a")
        retries.wait()
        assert set(retries.failures) == {"too_many_parts"}
        ids += publish_enriched(settings, 100, f"{unique_prefix}a")
        assert committed(settings) == {}
        client.command(f"ALTER TABLE audit.events MODIFY SETTING {limits.format(3000)}")
        wait_committed(settings, 200)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, f"{unique_prefix}a")) == ALL_WELL
    assert dead_letters(settings) == []


@pytest.mark.parametrize(
    ("setting", "value", "name"),
    [
        ("min_free_disk_bytes_to_perform_insert", 10**18, "not_enough_space"),
        ("table_readonly", 1, "code_774"),  # TABLE_IS_PERMANENTLY_READ_ONLY: not for the sink
    ],
)
def test_a_table_that_takes_nothing_for_a_while(
    settings: Settings,
    client: Client,
    retries: Retries,
    unique_prefix: str,
    setting: str,
    value: int,
    name: str,
) -> None:
    """Fault 12: the disk is full, or the table is read-only."""
    client.command(f"ALTER TABLE audit.events MODIFY SETTING {setting} = {value}")
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 100, f"{unique_prefix}a")
        retries.wait()
        assert set(retries.failures) == {name}
        assert committed(settings) == {}
        client.command(f"ALTER TABLE audit.events RESET SETTING {setting}")
        wait_committed(settings, 100)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    assert dead_letters(settings) == []


def test_an_insert_over_the_memory_limit_is_tried_again(
    settings: Settings,
    client: Client,
    retries: Retries,
    unique_prefix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault 12: memory is short for a while."""
    monkeypatch.setitem(writer._SETTINGS, "max_memory_usage", 1_000)
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 100, f"{unique_prefix}a")
        retries.wait()
        assert set(retries.failures) == {"memory_limit_exceeded"}
        assert committed(settings) == {}
        monkeypatch.delitem(writer._SETTINGS, "max_memory_usage")
        wait_committed(settings, 100)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    assert dead_letters(settings) == []


def test_the_store_is_down_for_a_while(
    settings: Settings,
    client: Client,
    retries: Retries,
    fresh_clickhouse: ClickHouse,
    unique_prefix: str,
) -> None:
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 100, f"{unique_prefix}a")
        wait_committed(settings, 100)
        fresh_clickhouse.kill()
        ids += publish_enriched(settings, 100, f"{unique_prefix}a")
        retries.wait(3)
        assert sum(committed(settings).values()) == 100
        fresh_clickhouse.start()
        wait_committed(settings, 200)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_missing_view_is_noticed(
    settings: Settings, client: Client, retries: Retries, unique_prefix: str
) -> None:
    """Without the view audit.ingest takes every row and keeps none."""
    client.command("DROP VIEW audit.ingest_to_events")

    def repair() -> None:
        (ingest,) = (m for m in load_migrations() if m.name == "ingest")
        for statement in ingest.statements(dictionary_user="default"):
            client.command(statement)

    with running_sink(settings):
        ids = publish_enriched(settings, 100, f"{unique_prefix}a")
        retries.wait()
        assert set(retries.failures) == {"rows_missing"}
        assert committed(settings) == {}
        repair()
        wait_committed(settings, 100)
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_column_added_while_running(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 14."""
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 50)
        client.command("ALTER TABLE audit.events ADD COLUMN added String DEFAULT 'x'")
        ids += publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 100)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL


def test_a_column_dropped_while_running(
    settings: Settings, client: Client, unique_prefix: str
) -> None:
    """Fault 14: the view fills what there is; the event itself is kept whole."""
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 50)
        client.command("ALTER TABLE audit.events DROP COLUMN city")
        ids += publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 100)
        assert sink.failure is None
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    whole = "SELECT uniqExact(JSONExtractString(event, 'location', 'city')) FROM audit.events"
    assert client.query(whole).result_rows == [(1,)]


def test_the_table_is_gone(settings: Settings, client: Client, unique_prefix: str) -> None:
    """The sink stops loudly, its offsets stay, and it goes on once that is mended."""
    with running_sink(settings) as sink:
        ids = publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 50)
        client.command("RENAME TABLE audit.events TO audit.renamed")
        ids += publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_until(lambda: not sink.running, deadline_s=30, what="the sink stops")
    assert isinstance(sink.failure, StoreRefused), sink.failure
    assert "UNKNOWN_TABLE" in str(sink.failure)
    assert sum(committed(settings).values()) == 50
    client.command("RENAME TABLE audit.renamed TO audit.events")
    with running_sink(settings):
        wait_committed(settings, 100)
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
    assert dead_letters(settings) == []


def test_more_inserts_than_the_deduplication_window_then_a_retry(
    client: Client, unique_prefix: str
) -> None:
    """Fault 11: the token is forgotten; the table removes the repeat."""
    client.command("ALTER TABLE audit.events MODIFY SETTING non_replicated_deduplication_window=3")
    events = [enriched_event(f"{unique_prefix}a") for _ in range(20)]
    writer = Writer(client)
    for number, event in enumerate(events):
        writer.insert([encode(event)], f"token-{number}")
    writer.insert([encode(events[0])], "token-0")
    raw = client.query("SELECT count() FROM audit.events").result_rows[0][0]
    assert judge([e["id"] for e in events], ids_seen(client, unique_prefix)) == ALL_WELL
    client.command("OPTIMIZE TABLE audit.events FINAL")
    assert client.query("SELECT count() FROM audit.events").result_rows == [(20,)]
    assert raw >= 20


class LossyProxy:
    """Passes requests to ClickHouse; while `swallow` is set, answers are lost on the way back."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.swallow = threading.Event()
        self.lost = 0
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._target)
            threading.Thread(target=self._pump, args=(near, far, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(far, near, True), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while data := source.recv(65536):
                if answers and self.swallow.is_set():
                    self.lost += 1
                    break
                sink.sendall(data)
        except OSError:
            pass
        finally:
            for end in (source, sink):
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()


def test_the_answer_is_lost_after_the_insert_was_applied(
    kafka: Kafka,
    fresh_clickhouse: ClickHouse,
    client: Client,
    retries: Retries,
    unique_prefix: str,
) -> None:
    """Fault 10: the same bytes and token again; one copy."""
    proxy = LossyProxy((fresh_clickhouse.host, fresh_clickhouse.port))
    settings = sink_settings(
        kafka, fresh_clickhouse, unique_prefix, AUDITBUS_CLICKHOUSE_URL=proxy.url
    )
    with running_sink(settings):
        ids = publish_enriched(settings, 50, f"{unique_prefix}a")
        wait_committed(settings, 50)
        proxy.swallow.set()
        ids += publish_enriched(settings, 50, f"{unique_prefix}a")
        retries.wait()
        assert proxy.lost
        assert len(ids_seen(client, unique_prefix)) == 100  # applied, and the sink can't know
        assert sum(committed(settings).values()) == 50
        proxy.swallow.clear()
        wait_committed(settings, 100)
    proxy.close()
    assert client.query("SELECT count() FROM audit.events").result_rows == [(100,)]
    assert judge(ids, ids_seen(client, unique_prefix)) == ALL_WELL
