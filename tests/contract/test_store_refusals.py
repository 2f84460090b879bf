"""What the embedded store refuses over HTTP: strangers, foreign pages, files, the network."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from clickhouse_connect.driver.external import ExternalData

from tests.contract.embedded_store import PASSWORD, RunningStore, running_store

LOGIN = {"X-ClickHouse-Key": PASSWORD}
AUTHENTICATION_FAILED = "516"
ACCESS_DENIED = "497"

TABLE = "CREATE TABLE audit.m (a Int8) ENGINE = MergeTree ORDER BY a "
DICTIONARY = "CREATE DICTIONARY audit.d (a UInt64) PRIMARY KEY a "


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStore]:
    with running_store(tmp_path_factory.mktemp("store")) as store:
        store.request("CREATE DATABASE audit")
        store.request("CREATE TABLE audit.t (a String) ENGINE = MergeTree ORDER BY a")
        yield store


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("the secret")
    return path


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield listener


class TestStrangers:
    @pytest.mark.parametrize("password", ["", "wrong", PASSWORD + " "])
    def test_without_the_password(self, store: RunningStore, password: str) -> None:
        with pytest.raises(DatabaseError, match="516"):
            clickhouse_connect.get_client(host="127.0.0.1", port=store.port, password=password)

    def test_nobody_is_asked_for_a_password(self, store: RunningStore) -> None:
        """A browser that was asked would send it along for other pages."""
        response = store.request("SELECT 1", headers={})
        assert response.status == 401
        assert response.headers["X-ClickHouse-Exception-Code"] == AUTHENTICATION_FAILED
        assert "WWW-Authenticate" not in response.headers

    def test_ping_needs_none(self, store: RunningStore) -> None:
        assert store.request(method="GET", path="/ping", headers={}).data == b"Ok.\n"
        assert store.request(method="HEAD", headers={}).status == 401

    def test_only_loopback_listens(self, store: RunningStore) -> None:
        sockets = Path("/proc/net/tcp").read_text().splitlines()[1:]
        listening = {line.split()[1] for line in sockets if line.split()[3] == "0A"}
        assert f"0100007F:{store.port:04X}" in listening
        assert f"00000000:{store.port:04X}" not in listening


class TestForeignPages:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/ping"])
    def test_are_refused_even_with_the_password(
        self, store: RunningStore, headers: dict[str, str], path: str
    ) -> None:
        method = "POST" if path == "/" else "GET"
        response = store.request(
            "DROP TABLE audit.t", method=method, path=path, headers=LOGIN | headers
        )
        assert response.status == 403
        assert response.headers["X-ClickHouse-Exception-Code"] == ACCESS_DENIED
        assert store.request("EXISTS TABLE audit.t").data == b"1\n"

    def test_the_own_origin_is_not_foreign(self, store: RunningStore) -> None:
        assert store.request("SELECT 1", headers=LOGIN | {"Origin": store.url}).status == 200


class TestReadOnly:
    def test_a_get_request_reads(self, store: RunningStore) -> None:
        response = store.request(method="GET", query={"query": "SELECT 1"})
        assert response.data == b"1\n"

    def test_a_get_request_does_not_write(self, store: RunningStore) -> None:
        response = store.request(method="GET", query={"query": "DROP TABLE audit.t"})
        assert response.headers["X-ClickHouse-Exception-Code"] == "164"

    def test_a_get_request_cannot_lift_it(self, store: RunningStore) -> None:
        query = {"query": "DROP TABLE audit.t", "readonly": "0"}
        response = store.request(method="GET", query=query)
        assert response.status >= 400
        assert store.request("EXISTS TABLE audit.t").data == b"1\n"


class TestStatements:
    """The guard's unit tests list the spellings; here each way out is tried on the real engine."""

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT file('{path}')",
            "SELECT arrayMap(file, ['{path}'])",
            "SELECT * APPLY file FROM (SELECT '{path}')",
            "SELECT * FROM file('{path}', LineAsString)",
            "SELECT * FROM `fil\\x65`/* */('{path}', LineAsString)",
            "SELECT * FROM `{path}`",
            "SELECT * FROM default.`{path}`",
            "SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{path}'",
            "INSERT INTO audit.t FROM INFILE '{path}' FORMAT LineAsString",
            "INSERT INTO audit.t VALUES (file('{path}'))",
            "INSERT INTO audit.t FORMAT Values (file('{path}'))",
            "CREATE VIEW audit.v AS SELECT file('{path}')",
            "CREATE TABLE audit.f (a String) ENGINE = File(LineAsString, '{path}')",
            DICTIONARY + "SOURCE(FILE(PATH '{path}')) LAYOUT(FLAT())",
            DICTIONARY + "SOURCE(EXECUTABLE(COMMAND 'cat {path}' FORMAT TSV)) LAYOUT(FLAT())",
        ],
    )
    def test_files_are_not_read(self, store: RunningStore, secret: Path, sql: str) -> None:
        response = store.request(sql.format(path=secret))
        assert response.status >= 400
        assert b"the secret" not in response.data
        assert store.request("SELECT count() FROM audit.t").data == b"0\n"

    @pytest.mark.parametrize("name", ["file", "`file`", "f\\x69le"])
    def test_files_are_not_read_through_a_parameter(
        self, store: RunningStore, secret: Path, name: str
    ) -> None:
        sql = "SELECT arrayMap({f:Identifier}, [{p:String}])"
        response = store.request(sql, query={"param_f": name, "param_p": str(secret)})
        assert b"the secret" not in response.data
        assert response.headers["X-ClickHouse-Exception-Code"] == ACCESS_DENIED

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT 1 INTO OUTFILE '{path}'",
            "SELECT 1 INTO/**/OUTFILE '{path}' FORMAT CSV",
            "INSERT INTO FUNCTION file('{path}', CSV, 'a Int8') SELECT 1",
            "SELECT 1 AS a FORMAT Protobuf SETTINGS output_format_schema = '{path}'",
            "BACKUP TABLE audit.t TO File('{path}')",
        ],
    )
    def test_files_are_not_written(self, store: RunningStore, tmp_path: Path, sql: str) -> None:
        path = tmp_path / "written"
        assert store.request(sql.format(path=path)).status >= 400
        assert not path.exists()

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM url('{url}', LineAsString)",
            "SELECT * FROM s3('{url}/b/k', LineAsString)",
            "SELECT * FROM remote('127.0.0.1:{port}', system.one)",
            "SELECT * FROM mysql('127.0.0.1:{port}', d, t, u, p)",
            "DESCRIBE TABLE url('{url}')",
            "CREATE TABLE audit.k (a String) ENGINE = Kafka('127.0.0.1:{port}', 't', 'g', 'CSV')",
            "CREATE TABLE audit.k (a String) ENGINE/**/`Kafka` SETTINGS kafka_topic_list = 'x'",
            "CREATE TABLE audit.u (a String) ENGINE = URL('{url}', CSV)",
            TABLE + "SETTINGS disk = disk(type = web, endpoint = '{url}/')",
            "CREATE DATABASE m ENGINE = MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
            DICTIONARY + "SOURCE(HTTP(URL '{url}' FORMAT TSV)) LAYOUT(FLAT())",
            DICTIONARY + "SOURCE(CLICKHOUSE(HOST 'localhost' PORT {port} TABLE 't'))",
            "RESTORE TABLE audit.t FROM S3('{url}/b')",
        ],
    )
    def test_the_network_is_not_reached(
        self, store: RunningStore, sql: str, listener: socket.socket
    ) -> None:
        port = listener.getsockname()[1]
        response = store.request(sql.format(url=f"http://127.0.0.1:{port}", port=port))
        assert response.headers["X-ClickHouse-Exception-Code"] == ACCESS_DENIED
        with pytest.raises(BlockingIOError):
            listener.accept()

    @pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "SELECT 1;DROP TABLE audit.t"])
    def test_one_statement_a_request(self, store: RunningStore, sql: str) -> None:
        assert store.request(sql).headers["X-ClickHouse-Exception-Code"] == "62"
        assert store.request("EXISTS TABLE audit.t").data == b"1\n"

    def test_what_only_looks_like_it_passes(self, store: RunningStore) -> None:
        sql = "SELECT 'file(1) INTO OUTFILE' AS url, '\\\\' AS file, url || file -- remote('x')"
        assert store.request(sql).data == b"file(1) INTO OUTFILE\t\\\\\tfile(1) INTO OUTFILE\\\\\n"


class TestSettings:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("dialect", "kusto"),
            ("additional_result_filter", "length(file('/etc/passwd')) > 0"),
            ("additional_table_filters", "{'audit.t': 'file(a) = 1'}"),
            ("allow_experimental_eval_table_function", "1"),
            ("format_avro_schema_registry_url", "http://127.0.0.1:9"),
            ("format_schema", "/etc/passwd:x"),
            ("implicit_select", "1"),
        ],
    )
    @pytest.mark.parametrize("place", ["url", "clause"])
    def test_those_that_reach_out_or_hide_sql_are_frozen(
        self, store: RunningStore, name: str, value: str, place: str
    ) -> None:
        quoted = value.replace("'", "\\'")
        response = (
            store.request("SELECT 1", query={name: value})
            if place == "url"
            else store.request(f"SELECT 1 SETTINGS {name} = '{quoted}'")
        )
        assert response.headers["X-ClickHouse-Exception-Code"] == "452"

    @pytest.mark.parametrize("name", ["a b", "max_threads = 1, dialect", "a'b", ""])
    def test_a_name_is_a_name(self, store: RunningStore, name: str) -> None:
        response = store.request("SELECT 1", query={name: "1"})
        assert response.headers["X-ClickHouse-Exception-Code"] == "115"


class TestBodies:
    @pytest.mark.parametrize("encoding", ["lz4", "zstd", "gzip", "deflate"])
    def test_broken_compression(self, store: RunningStore, encoding: str) -> None:
        headers = LOGIN | {"Content-Encoding": encoding}
        response = store.request(b"this is not packed", headers=headers)
        assert response.status == 400
        assert response.headers["X-ClickHouse-Exception-Code"] == "271"

    @pytest.mark.parametrize(("name", "value"), [("compress", "1"), ("decompress", "1")])
    def test_block_compression_is_not_supported(
        self, store: RunningStore, name: str, value: str
    ) -> None:
        response = store.request("SELECT 1", query={name: value})
        assert response.headers["X-ClickHouse-Exception-Code"] == "48"

    def test_external_data_is_not_supported(self, store: RunningStore) -> None:
        external = ExternalData(file_name="x.csv", data=b"1", fmt="CSV", structure=["a UInt8"])
        with pytest.raises(DatabaseError) as failure:
            store.client().query("SELECT * FROM x", external_data=external)
        assert failure.value.code == 48

    def test_a_result_names_its_request(self, store: RunningStore) -> None:
        response = store.request("SELECT 1 FORMAT JSON", query={"query_id": "mine"})
        assert response.headers["X-ClickHouse-Query-Id"] == "mine"
        assert response.headers["X-ClickHouse-Format"] == "JSON"
        assert json.loads(response.data)["rows"] == 1
