"""Exports: whole files, honest about what they hold, that open where people open them."""

import csv
import gzip
import io
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client

from auditbus.console.export import ALL_COLUMNS, chosen_columns
from auditbus.console.export.errors import ExportBroken
from auditbus.console.export.formats import Format
from auditbus.console.export.stream import ExportStream
from auditbus.console.export.text import csv_writer, ndjson_writer
from auditbus.console.query import EventFilter, event_predicate
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import describe_topics
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, read_topic, settings_with_topics, wait_until
from tests.store import encode, enriched_event, migrated_client

_HOSTILE = [
    "=1+1",
    "+1",
    "-1",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "   =1",
    "\u00a0=1",
    "\u3000=1",
    "\u200b=1",
    "\ufeff=1",
    "\x01=1",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20SUM(A1)",
    '=HYPERLINK("http://evil.example","x")',
]
_HARMLESS = [
    "a=1",
    "1-2",
    "ann@example.org",
    'say "hi",\r\nthen \u00fc \u4e2d \U0001f600',
    "",
    "'x",
]


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def environment(clickhouse: ClickHouse, kafka: Kafka, unique_prefix: str) -> dict[str, str]:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    return {**environment, **store_environment(clickhouse)}


@pytest.fixture
def settings(environment: Mapping[str, str]) -> Settings:
    made = settings_with_topics(environment)
    admin, topic = new_admin(made.kafka), made.kafka.topics.events
    wait_until(lambda: topic in describe_topics(admin, [topic]), deadline_s=30, what="the topic")
    return made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


def _store(client: Client, *events: dict[str, Any]) -> None:
    Writer(client).insert([encode(event) for event in events], f"test:{uuid7()}")


def _export(
    environment: Mapping[str, str], account: str, out: Path, *options: str, code: int = 0
) -> str:
    done = auditbus(
        "export", "--out", str(out), "--account", account, *options, environment=environment
    )
    assert done.exit_code == code, done.stderr
    return done.stderr


def _rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


def _recorded(settings: Settings) -> list[dict[str, Any]]:
    records = read_topic(settings, settings.kafka.topics.events, until=bool)
    return [json.loads(record.value() or b"") for record in records]


def test_csv_holds_what_was_stored_and_says_so(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    event = enriched_event(
        account,
        occurred_at="2026-11-22T10:00:00.123Z",
        received_at="2026-11-22T10:00:01Z",
        error={"code": "E42", "message": "quota exceeded"},
    )
    _store(client, event)
    out = tmp_path / "log.csv"
    _export(environment, account, out)
    (row,) = _rows(out.read_bytes())
    assert list(row)[:9] == [
        "Time", "Action", "Description", "Account", "User", "IP", "Device", "Location", "Error",
    ]  # fmt: skip
    assert row == {
        "Time": "2026-11-22T10:00:00.123Z",
        "Action": "StorageDeleted",
        "Description": "deleted storage backups",
        "Account": "Acme Inc.",
        "User": "Ann",
        "IP": "81.2.69.142",
        "Device": "curl 8.0",
        "Location": "London, United Kingdom",
        "Error": "quota exceeded",
        "Outcome": "failure",
        "Category": "storage",
        "Operation": "delete",
        "Targets": "storage backups s1",
        "Account ID": account,
        "User type": "user",
        "User ID": "u1",
        "User e-mail": "ann@example.org",
        "Country": "GB",
        "User agent": "curl/8.0",
        "Error code": "E42",
        "Received": "2026-11-22T10:00:01.000Z",
        "ID": event["id"],
    }
    assert out.read_bytes().count(b"\r\n") == 2
    assert out.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", _HOSTILE)
def test_formula_cells_become_text_in_every_column(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path,
    text: str,
) -> None:  # fmt: skip
    hostile = enriched_event(
        account,
        description=text,
        actor={"type": text, "id": text, "name": text, "email": text},
        account={"id": account, "name": text},
        targets=[{"type": text, "id": "s", "name": "n"}],
        context={"ip": text, "user_agent": text},
        device={"label": text},
        location={"label": text, "country_code": text},
        error={"code": text, "message": text},
        operation=text,
        category=text,
    )
    _store(client, hostile)
    _export(environment, account, tmp_path / "log.csv")
    (row,) = _rows((tmp_path / "log.csv").read_bytes())
    others = {"Time", "Action", "Outcome", "Account ID", "Received", "ID", "Targets"}
    assert {name: value for name, value in row.items() if name not in others} == dict.fromkeys(
        row.keys() - others, f"'{text}"
    )
    assert row["Targets"].startswith(f"'{text}")


def test_harmless_cells_stay_as_they_are(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    _store(client, *(enriched_event(account, description=text) for text in _HARMLESS))
    _export(environment, account, tmp_path / "log.csv")
    rows = _rows((tmp_path / "log.csv").read_bytes())
    assert sorted(row["Description"] for row in rows) == sorted(_HARMLESS)


def test_a_file_that_cannot_hold_all_says_so_before_and_after(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    events = [
        enriched_event(account, occurred_at=f"2026-11-2{number}T10:00:00Z") for number in range(5)
    ]
    _store(client, *events)
    out = tmp_path / "log.csv"
    said = _export(environment, account, out, "--limit", "3", code=4)
    before, after = said.index("only the newest 3 will be written"), said.index("truncated: 5")
    assert before < after
    assert [row["ID"] for row in _rows(out.read_bytes())] == [e["id"] for e in events[:1:-1]]
    manifest = json.loads((tmp_path / "log.csv.manifest.json").read_bytes())
    assert (manifest["rows"], manifest["matched"], manifest["truncated"]) == (3, 5, True)
    (recorded,) = _recorded(settings)
    assert recorded["metadata"]["export"]["truncated"] is True


def test_an_export_is_recorded_with_filters_rows_format_and_hash(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    _store(client, enriched_event(account), enriched_event(account))
    out = tmp_path / "log.ndjson"
    _export(environment, account, out, "--format", "ndjson", "--since", "2020-01-01")
    (recorded,) = _recorded(settings)
    told = recorded["metadata"]["export"]
    assert (recorded["action"], recorded["account"]) == ("AuditLogExported", {"id": "auditbus"})
    assert (told["rows"], told["format"], told["filters"]) == (2, "ndjson", {"account": [account]})
    assert told["since"] == "2020-01-01T00:00:00.000Z"
    manifest = json.loads((tmp_path / "log.ndjson.manifest.json").read_bytes())
    assert told["sha256"] == manifest["sha256"]


def test_an_export_that_cannot_be_recorded_does_not_happen(
    client: Client, environment: dict[str, str], account: str, tmp_path: Path
) -> None:
    _store(client, enriched_event(account))
    unreachable = {**environment, "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    _export(unreachable, account, tmp_path / "log.csv", code=3)
    assert list(tmp_path.iterdir()) == []


def test_verify_finds_what_was_altered(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    _store(client, enriched_event(account))
    out = tmp_path / "log.csv"
    _export(environment, account, out)
    assert "1 events" in auditbus("export", "--verify", str(out)).stdout
    content = out.read_bytes()
    out.write_bytes(content.replace(b"deleted", b"created"))
    altered = auditbus("export", "--verify", str(out))
    assert (altered.exit_code, "SHA-256" in altered.stderr) == (1, True)
    out.write_bytes(content + b"\r\n")
    longer = auditbus("export", "--verify", str(out))
    assert (longer.exit_code, "bytes" in longer.stderr) == (1, True)
    (tmp_path / "log.csv.manifest.json").write_text("{}")
    assert "not a manifest" in auditbus("export", "--verify", str(out)).stderr
    (tmp_path / "log.csv.manifest.json").unlink()
    assert auditbus("export", "--verify", str(out)).exit_code == 1


@pytest.mark.parametrize(
    ("how", "unpack"), [("none", bytes), ("gzip", gzip.decompress), ("zstd", zstd.decompress)]
)
def test_ndjson_holds_the_stored_events_byte_for_byte(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path,
    how: str, unpack: Any,
) -> None:  # fmt: skip
    events = [enriched_event(account, metadata={"n": n, "x": "\u2028\\"}) for n in range(3)]
    broken = enriched_event(account, description="one line")
    lines = [encode(event) for event in events]
    Writer(client).insert([*lines, json.dumps(broken, indent=1).encode()], f"test:{uuid7()}")
    out = tmp_path / "log.ndjson"
    _export(environment, account, out, "--format", "ndjson", "--compress", how)
    found = unpack(out.read_bytes()).splitlines()
    assert set(lines) <= set(found)
    assert sorted(json.loads(line)["id"] for line in found) == sorted(
        event["id"] for event in [*events, broken]
    )
    assert auditbus("export", "--verify", str(out)).exit_code == 0


def test_parquet_has_types_and_the_whole_event(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    event = enriched_event(account, description="=1+1", occurred_at="2026-11-22T10:00:00.123Z")
    _store(client, event)
    out = tmp_path / "log.parquet"
    _export(environment, account, out, "--format", "parquet", "--columns", "id")
    (row,) = pq.read_table(out).to_pylist()
    assert row["time"] == datetime(2026, 11, 22, 10, 0, 0, 123_000, UTC)
    assert row["description"] == "=1+1"
    assert row["id"] == event["id"]
    assert json.loads(row["event"]) == event
    assert list(row) == [
        "time", "action", "description", "account", "user", "ip", "device", "location", "error",
        "id", "event",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", list(Format))
def test_nothing_found_makes_a_file_with_nothing_in_it(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path,
    kind: Format,
) -> None:  # fmt: skip
    out = tmp_path / "log"
    assert "0 events" in _export(environment, account, out, "--format", str(kind))
    match kind:
        case Format.CSV:
            assert _rows(out.read_bytes()) == []
        case Format.NDJSON:
            assert out.read_bytes() == b""
        case Format.PARQUET:
            assert pq.read_table(out).num_rows == 0


def _filled(client: Client, account: str) -> list[str]:
    """Store events of one second, one hour, and over years; return their ids, newest first."""
    moments = [
        *(f"2026-11-22T10:00:00.{number:03}Z" for number in range(40)),
        *(f"2026-11-22T10:{number:02}:30.000Z" for number in range(40)),
        *["2026-10-31T23:59:59.999Z"] * 3,
        *(f"{year}-03-01T00:00:00.000Z" for year in range(2018, 2026)),
    ]
    events = [
        enriched_event(account, occurred_at=moment, received_at="2026-11-22T12:00:00.000Z")
        for moment in moments
    ]
    _store(client, *events)
    newest = sorted(events, key=_place, reverse=True)
    return [event["id"] for event in newest]


def _place(event: dict[str, Any]) -> tuple[str, int, int]:
    """Return what events are ordered by; ClickHouse compares the second half of a UUID first."""
    id_ = UUID(event["id"]).int
    return event["occurred_at"], id_ % 2**64, id_ >> 64


@pytest.mark.parametrize("limit", [None, 50, 82])
def test_csv_holds_each_event_once_newest_first(
    client: Client, account: str, limit: int | None
) -> None:
    ids = _filled(client, account)
    wanted = event_predicate(EventFilter(accounts=(account,)))
    stream = ExportStream.planned(client, csv_writer(ALL_COLUMNS), wanted, limit)
    content = b"".join(stream.chunks())
    assert [row["ID"] for row in _rows(content)] == ids[:limit]
    assert (stream.rows, stream.matched) == (len(ids[:limit]), len(ids))


def test_whole_events_come_by_month_and_then_as_they_are_stored(
    client: Client, account: str
) -> None:
    ids = _filled(client, account)
    wanted = event_predicate(EventFilter(accounts=(account,)))
    stream = ExportStream.planned(client, ndjson_writer(), wanted, None)
    events = [json.loads(line) for line in b"".join(stream.chunks()).splitlines()]
    assert sorted(event["id"] for event in events) == sorted(ids)
    months = [event["occurred_at"][:7] for event in events]
    assert months == sorted(months, reverse=True)
    november = [event["occurred_at"] for event in events if event["occurred_at"] > "2026-11"]
    assert november == sorted(november)


def test_whole_events_that_are_limited_are_the_newest(client: Client, account: str) -> None:
    ids = _filled(client, account)
    wanted = event_predicate(EventFilter(accounts=(account,)))
    stream = ExportStream.planned(client, ndjson_writer(), wanted, 5)
    lines = b"".join(stream.chunks()).splitlines()
    assert [json.loads(line)["id"] for line in lines] == ids[:5]


def test_a_spreadsheet_of_events_is_whole_and_one_more_is_not(client: Client, account: str) -> None:
    """1,048,575 events and the header are the 1,048,576 rows of a sheet."""
    wanted = event_predicate(EventFilter(accounts=(account,)))
    most = Format.CSV.max_rows
    assert most == 1_048_575
    fill = (
        "INSERT INTO audit.events (id, time, received_at, account, action, event, version)"
        " SELECT generateUUIDv4(), toDateTime64('2001-03-01', 3, 'UTC') + number % 86400, now64(3),"
        " {account:String}, 'Login', '{}', 1 FROM numbers({rows:UInt64})"
    )
    columns = chosen_columns([])
    try:
        for rows, is_truncated in ((most, False), (1, True)):
            client.command(fill, parameters={"account": account, "rows": rows})
            stream = ExportStream.planned(client, csv_writer(columns), wanted, most)
            lines = sum(chunk.count(b"\n") for chunk in stream.chunks())  # CRLF may be cut
            assert (lines, stream.rows) == (1_048_576, most)
            assert stream.is_truncated is is_truncated
    finally:
        client.command("ALTER TABLE audit.events DROP PARTITION 200103")


def test_what_arrives_during_the_export_is_no_part_of_it(client: Client, account: str) -> None:
    wanted = event_predicate(EventFilter(accounts=(account,)))
    moment = "2026-11-22T10:00:00.000Z"
    _store(client, enriched_event(account, occurred_at=moment, received_at=moment))
    stream = ExportStream.planned(client, ndjson_writer(), wanted, None)
    _store(client, enriched_event(account, occurred_at=moment, received_at="2026-11-23T10:00:00Z"))
    assert b"".join(stream.chunks()).count(b"\n") == 1


def test_an_answer_that_breaks_off_is_no_whole_export(client: Client, account: str) -> None:
    _store(client, *(enriched_event(account) for _ in range(20)))
    wanted = event_predicate(EventFilter(accounts=(account,)))

    class Short:
        def __init__(self) -> None:
            self.inner = ndjson_writer()
            self.begin, self.end = self.inner.begin, self.inner.end

            self.order = self.inner.order

        def rows(self, client: Client, wanted: Any, order: Any, limit: int) -> Iterator[Any]:
            return self.inner.rows(client, wanted, order, limit - 5)

    stream = ExportStream.planned(client, Short(), wanted, None)
    with pytest.raises(ExportBroken, match="after 15 rows"):
        list(stream.chunks())


@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_opens_hostile_events_as_text(
    client: Client, environment: dict[str, str], settings: Settings, account: str, tmp_path: Path
) -> None:
    texts = _HOSTILE + [text for text in _HARMLESS if text]
    _store(client, *(enriched_event(account, description=text) for text in texts))
    out = tmp_path / "log.csv"
    _export(environment, account, out)
    subprocess.run(
        [
            "soffice", "--headless", f"-env:UserInstallation=file://{tmp_path}/profile",
            "--convert-to", "fods", "--infilter=CSV:44,34,76,1,,0,false,false,true",
            "--outdir", str(tmp_path), str(out),
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    sheet = (tmp_path / "log.fods").read_text(encoding="utf-8")
    assert "table:formula" not in sheet
    assert len(re.findall(r"<table:table-row", sheet)) >= len(texts) + 1
    assert "hi" in sheet
    assert "\U0001f600" in sheet


def test_columns_and_compression_that_make_no_sense_are_wrong_usage(tmp_path: Path) -> None:
    for options in (
        ["--out", "x", "--columns", "nope"],
        ["--out", "x", "--format", "parquet", "--compress", "gzip"],
        [],
        ["--out", "x", "--verify", "y"],
    ):
        assert auditbus("export", *options).exit_code == 2
