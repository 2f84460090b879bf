"""clickhouse-connect, unchanged, against the embedded store: what the sink, console and CLI use."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.summary import QuerySummary
from urllib3.exceptions import HTTPError

from tests.contract.embedded_store import RunningStore, running_store

INSERT_SETTINGS = {
    "async_insert": 0,
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    "max_partitions_per_insert_block": 0,
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store") / "directory & with ? signs") as store:
        yield store


@pytest.fixture
def client(store: RunningStore) -> Iterator[Client]:
    client = store.client()
    client.command("DROP DATABASE IF EXISTS audit")
    client.command("CREATE DATABASE audit")
    yield client
    client.close()


def lines(count: int, size: int = 0) -> bytes:
    return b"\n".join(b'{"n":%d,"x":"%s"}' % (n, b"y" * size) for n in range(count))


def make_ingest(client: Client) -> None:
    client.command(
        "CREATE TABLE audit.events (n UInt64, line String) ENGINE = MergeTree ORDER BY n "
        "SETTINGS non_replicated_deduplication_window = 100"
    )
    client.command("CREATE TABLE audit.ingest (line String) ENGINE = Null")
    client.command(
        "CREATE MATERIALIZED VIEW audit.ingest_to_events TO audit.events AS SELECT line, "
        "JSONExtractUInt(line, 'n') + throwIf(NOT JSONHas(line, 'n')) AS n FROM audit.ingest"
    )


class TestQueries:
    def test_types_come_back(self, client: Client) -> None:
        result = client.query("SELECT 1 AS a, 'ü' AS b, [1, 2] AS c, toIPv6('::1') AS d, NULL AS e")
        assert result.column_names == ("a", "b", "c", "d", "e")
        assert [str(value) for value in result.first_row] == ["1", "ü", "[1, 2]", "::1", "None"]

    def test_no_rows(self, client: Client) -> None:
        assert client.query("SELECT 1 AS a WHERE 0").result_rows == []

    def test_columns_of_a_limit_0(self, client: Client) -> None:
        assert client.query("SELECT 1 AS a LIMIT 0").column_names == ("a",)

    def test_server_side_parameters(self, client: Client) -> None:
        values = {"n": 5, "s": "o'c\\\t\n", "l": ["a", "b'c"], "t": "one"}
        result = client.query(
            "SELECT {n:UInt8}, {s:String}, {l:Array(String)} FROM system.{t:Identifier}", values
        )
        assert result.first_row == (5, "o'c\\\t\n", ["a", "b'c"])

    def test_parameters_in_a_form(self, store: RunningStore) -> None:
        client = store.client(form_encode_query_params=True)
        assert client.query("SELECT {s:String}", {"s": "x" * 100_000}).first_row == ("x" * 100_000,)

    def test_settings_hold_for_their_request_alone(self, client: Client) -> None:
        sql = "SELECT getSetting('max_block_size')"
        before = client.query(sql).first_row
        assert client.query(sql, settings={"max_block_size": 123}).first_row == (123,)
        assert client.query(sql).first_row == before

    def test_settings_of_a_client(self, store: RunningStore) -> None:
        client = store.client(settings={"max_block_size": 321})
        assert client.query("SELECT getSetting('max_block_size')").first_row == (321,)

    def test_database_of_a_client(self, client: Client, store: RunningStore) -> None:
        client.command("CREATE TABLE audit.t (a UInt8) ENGINE = Memory")
        assert store.client(database="audit").command("EXISTS TABLE t") == 1

    def test_unqualified_tables_are_kept(self, client: Client, store: RunningStore) -> None:
        client.command("CREATE TABLE unqualified (a UInt8) ENGINE = MergeTree ORDER BY a")
        client.command("INSERT INTO unqualified VALUES (1), (2)")
        rows = store.client(database="default").query("SELECT * FROM unqualified").result_rows
        assert rows == [(1,), (2,)]

    def test_use_and_set_end_with_their_request(self, client: Client) -> None:
        client.command("USE audit")
        client.command("SET max_block_size = 77")
        database, size = client.query(
            "SELECT currentDatabase(), getSetting('max_block_size')"
        ).first_row
        assert database == "main"
        assert size != 77

    def test_pandas_and_arrow(self, client: Client) -> None:
        assert client.query_arrow("SELECT number FROM numbers(10)").num_rows == 10

    @pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
    def test_compression(self, client: Client, store: RunningStore, compress: bool | str) -> None:
        packing = store.client(compress=compress)
        client.command("CREATE TABLE audit.packed (a UInt64, s String) ENGINE = Memory")
        rows = [(n, "x" * 100) for n in range(10_000)]
        packing.insert("audit.packed", rows, column_names=["a", "s"])
        assert packing.query("SELECT * FROM audit.packed ORDER BY a").result_rows == rows

    def test_query_ids_are_given_back(self, client: Client) -> None:
        assert client.query("SELECT 1", settings={"query_id": "mine"}).query_id == "mine"


class TestInserts:
    def test_columns(self, client: Client) -> None:
        client.command("CREATE TABLE audit.t (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
        rows = [(n, f"n{n}") for n in range(100_000)]
        assert client.insert("audit.t", rows, column_names=["a", "s"]).written_rows == 100_000
        assert client.query("SELECT count(), sum(a) FROM audit.t").first_row == (
            100_000,
            sum(range(100_000)),
        )

    def test_values_and_select_say_what_they_wrote(self, client: Client) -> None:
        client.command("CREATE TABLE audit.t (a UInt64) ENGINE = MergeTree ORDER BY a")
        for sql in (
            "SELECT number FROM numbers(7)",
            "VALUES (1), (2), (3), (4), (5), (6), (1 + 6);",
        ):
            summary = client.command(f"INSERT INTO audit.t {sql}")
            assert isinstance(summary, QuerySummary)
            assert summary.written_rows == 7
        assert client.command("SELECT count() FROM audit.t") == 14

    def test_any_bytes_are_stored_as_they_are(self, client: Client) -> None:
        """chDB ends data behind a statement at an empty line and runs the rest as SQL."""
        client.command("CREATE TABLE audit.t (s String) ENGINE = MergeTree ORDER BY tuple()")
        client.command("CREATE TABLE audit.victim (a UInt8) ENGINE = Memory")
        evil = [
            b"a\n\n;DROP TABLE audit.victim",
            b"\n\n",
            b";",
            b"'\x00\xff\n\n/*",
        ]
        for data in evil:
            client.raw_insert("audit.t", insert_block=data, fmt="RawBLOB")
            stored = client.raw_query("SELECT s FROM audit.t", fmt="RawBLOB")
            client.command("TRUNCATE TABLE audit.t")
            assert stored == data
        rows = [(data.decode("latin-1"),) for data in evil]
        client.insert("audit.t", rows, column_names=["s"])
        assert set(client.query("SELECT s FROM audit.t").result_rows) == set(rows)
        client.command("INSERT INTO audit.t VALUES ('a\n\nDROP TABLE audit.victim')")
        assert client.command("EXISTS TABLE audit.victim") == 1

    def test_a_batch_of_the_sink(self, client: Client) -> None:
        make_ingest(client)
        batch = lines(10_000, size=1_100)
        assert len(batch) > 11_000_000
        settings = INSERT_SETTINGS | {"insert_deduplication_token": "events:0:0-9999"}
        for _ in range(2):  # the second is a repeat: counted as written, stored once
            summary = client.raw_insert(
                "audit.ingest", insert_block=batch, fmt="JSONAsString", settings=settings
            )
            # Each row is written to the Null table and to the view's target.
            assert summary.written_rows == 20_000
            assert client.command("SELECT count() FROM audit.events") == 10_000
        parts = "SELECT count() FROM system.parts WHERE active AND table = 'events'"
        assert client.command(parts) == 1
        last = client.command("SELECT line FROM audit.events WHERE n = 9999")
        assert last == batch.rpartition(b"\n")[2].decode()

    def test_one_bad_row_fails_its_batch_whole(self, client: Client) -> None:
        """An error of the view: chDB's send_insert reports success for it and stores nothing."""
        make_ingest(client)
        batch = lines(5_000) + b'\n{"bad":1}\n' + lines(5_000)
        with pytest.raises(DatabaseError) as failure:
            client.raw_insert("audit.ingest", insert_block=batch, fmt="JSONAsString")
        assert failure.value.code == 395
        assert client.command("SELECT count() FROM audit.events") == 0

    def test_packed_raw_inserts_have_their_statement_in_the_url(self, client: Client) -> None:
        make_ingest(client)
        import lz4.frame

        client.raw_insert(
            "audit.ingest",
            insert_block=lz4.frame.compress(lines(10)),
            fmt="JSONAsString",
            compression="lz4",
        )
        assert client.command("SELECT count() FROM audit.events") == 10

    def test_a_hundred_partitions_in_one_insert(self, client: Client) -> None:
        client.command(
            "CREATE TABLE audit.t (a UInt64) ENGINE = MergeTree PARTITION BY a ORDER BY a"
        )
        rows = b"\n".join(b"%d" % n for n in range(110))
        with pytest.raises(DatabaseError) as failure:
            client.raw_insert("audit.t", insert_block=rows, fmt="TSV")
        assert failure.value.code == 252  # an error of the table, which chDB's send_insert hides
        client.raw_insert("audit.t", insert_block=rows, fmt="TSV", settings=INSERT_SETTINGS)
        assert client.command("SELECT count() FROM audit.t") == 110


class TestStreams:
    def test_rows(self, client: Client) -> None:
        with client.query_rows_stream("SELECT number FROM numbers(1000000)") as rows:
            assert sum(number for (number,) in rows) == sum(range(1_000_000))

    def test_a_large_result_keeps_memory_flat(self, client: Client, store: RunningStore) -> None:
        # Peaks, not what stays: between queries the allocator gives pages back as it likes.
        small_peak = max(self.peak_bytes(client, store, 100_000) for _ in range(3))
        large_peak = self.peak_bytes(client, store, 2_500_000)
        more_bytes = (2_500_000 - 100_000) * 1001
        assert large_peak - small_peak < more_bytes // 8

    def peak_bytes(self, client: Client, store: RunningStore, rows: int) -> int:
        store.forget_peak()
        sql = "SELECT repeat('x', 1000) FROM numbers({n:UInt64})"
        assert self.consume(client, sql, rows) == rows * 1001
        return store.peak_bytes()

    @staticmethod
    def consume(client: Client, sql: str, rows: int) -> int:
        response = client.raw_stream(sql, {"n": rows}, fmt="TabSeparatedRaw")
        return sum(len(chunk) for chunk in iter(lambda: response.read(1 << 20), b""))

    def test_a_stream_given_up_leaves_the_store_usable(
        self, client: Client, store: RunningStore
    ) -> None:
        for _ in range(20):  # more than there are turns
            response = client.raw_stream("SELECT number FROM numbers(1e12)", fmt="TSV")
            response.read(1000)
            response.close()
        assert store.client().command("SELECT 1") == 1

    @pytest.mark.parametrize("fmt", ["CSVWithNames", "TSVWithNamesAndTypes", "JSONEachRow", "JSON"])
    def test_every_format_is_whole(self, client: Client, fmt: str) -> None:
        sql = "SELECT number AS n FROM numbers(200000)"
        result = client.raw_query(sql, fmt=fmt)
        assert result.count(b"\n") >= 200_000
        if fmt != "JSON":
            header = {"CSVWithNames": b'"n"\n', "TSVWithNamesAndTypes": b"n\nUInt64\n"}.get(
                fmt, b""
            )
            assert result.startswith(header)
            assert len(result.splitlines()) == 200_000 + header.count(b"\n")

    def test_a_header_without_rows(self, client: Client) -> None:
        assert client.raw_query("SELECT 1 AS a WHERE 0", fmt="CSVWithNames") == b'"a"\n'


class TestErrors:
    FAILS_LATE = "SELECT throwIf(number = 3000000, 'late') FROM numbers(4000000)"

    @pytest.mark.parametrize(
        ("sql", "code"),
        [
            ("SELECT FROM WHERE", 62),
            ("SELECT * FROM audit.nope", 60),
            ("SELECT nope", 47),
            ("SELECT nope(1)", 46),
            ("SELECT * FROM nope.t", 81),
            ("SELECT 1 SETTINGS nope = 1", 115),
            ("SELECT toUInt8('x')", 6),
            ("SELECT 1 FORMAT Nope", 73),
        ],
    )
    def test_codes_are_the_engines(self, store: RunningStore, sql: str, code: int) -> None:
        response = store.request(sql)
        assert response.status >= 400
        assert response.headers["X-ClickHouse-Exception-Code"] == str(code)
        assert response.data.decode().startswith(f"Code: {code}. DB::Exception: ")
        assert store.client().command("SELECT 1") == 1

    def test_an_unknown_setting(self, client: Client) -> None:
        with pytest.raises(DatabaseError) as failure:
            client.query("SELECT 1", settings={"no_such_setting": 1})
        assert failure.value.code == 115

    def test_in_the_middle_of_a_query(self, client: Client) -> None:
        with pytest.raises(DatabaseError) as failure:
            client.query(self.FAILS_LATE)
        assert failure.value.code == 395

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_in_the_middle_of_a_stream(self, client: Client) -> None:
        with (
            pytest.raises(StreamFailureError, match="late"),
            client.query_rows_stream(self.FAILS_LATE) as rows,
        ):
            for _ in rows:
                pass

    def test_in_the_middle_of_a_raw_stream(self, client: Client) -> None:
        """Who looks for no exception tag must not take a cut result for a whole one."""
        response = client.raw_stream(self.FAILS_LATE, fmt="TSV")
        with pytest.raises(HTTPError):
            for _ in iter(lambda: response.read(1 << 20), b""):
                pass

    def test_a_query_over_the_memory_cap(self, client: Client) -> None:
        with pytest.raises(DatabaseError) as failure:
            client.query(
                "SELECT groupArray(repeat('x', 1000)) FROM numbers(1e8)",
                settings={"max_memory_usage": 100_000_000},
            )
        assert failure.value.code == 241
        assert client.command("SELECT 1") == 1


class TestSeveralClients:
    def test_at_once(self, store: RunningStore, client: Client) -> None:
        make_ingest(client)
        start = threading.Barrier(8)

        def work(number: int) -> int:
            own = store.client(settings={"max_block_size": 1000 + number})
            start.wait()
            for turn in range(10):
                token = {"insert_deduplication_token": f"{number}:{turn}"}
                own.raw_insert(
                    "audit.ingest",
                    insert_block=lines(100),
                    fmt="JSONAsString",
                    settings=INSERT_SETTINGS | token,
                )
                size = own.query("SELECT getSetting('max_block_size')").first_row
                assert size == (1000 + number,)
            return 1000

        with ThreadPoolExecutor(8) as clients:
            assert sum(clients.map(work, range(8))) == 8_000
        assert client.command("SELECT count() FROM audit.events") == 8_000
