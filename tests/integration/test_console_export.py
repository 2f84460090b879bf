"""Downloads from the real application: what may be seen, told before, recorded after."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from auditbus.console.export import csv_text
from auditbus.console.web.api.exports import _recorded
from auditbus.producers.testing import RecordingProducer
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


@pytest.fixture
def producer() -> RecordingProducer:
    return RecordingProducer()


@pytest.fixture
def client(store: Client, producer: RecordingProducer) -> TestClient:
    return program(console_app(store, producer))


@pytest.fixture
def ids(store: Client, account: str) -> list[str]:
    """Store five events; return their ids, newest first."""
    events = [
        enriched_event(account, occurred_at=f"2026-11-2{day}T10:00:00Z", description=f"=day{day}")
        for day in range(5)
    ]
    Writer(store).insert([encode(event) for event in events], f"test:{uuid7()}")
    return [event["id"] for event in events[::-1]]


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def _exported(producer: RecordingProducer) -> dict[str, Any]:
    (event,) = [event for event in producer.events if event["action"] == "AuditLogExported"]
    return dict(event)


def test_csv_of_the_current_filters(
    client: TestClient, account: str, ids: list[str], producer: RecordingProducer
) -> None:
    answer = client.get(
        "/api/v1/events.csv", params={"account": account, "since": "2026-11-22", "columns": "id"}
    )
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"].startswith('attachment; filename="audit-log-2')
    assert answer.headers["x-auditbus-truncated"] == "false"
    rows = _rows(answer.content)
    assert [row["ID"] for row in rows] == ids[:3]
    assert rows[0]["Description"] == "'=day4"
    told = _exported(producer)
    assert told["targets"][0]["id"] == answer.headers["x-auditbus-export-id"]
    export = told["metadata"]["export"]
    assert export["sha256"] == hashlib.sha256(answer.content).hexdigest()
    assert (export["rows"], export["filters"]) == (3, {"account": [account]})
    assert told["account"]["id"] == "auditbus"
    assert "error" not in told


def test_a_truncated_download_says_so_in_its_headers(
    client: TestClient, account: str, ids: list[str]
) -> None:
    answer = client.get("/api/v1/events.csv", params={"account": account, "limit": 2})
    assert answer.headers["x-auditbus-truncated"] == "true"
    assert answer.headers["x-auditbus-matched"] == "5"
    assert [row["ID"] for row in _rows(answer.content)] == ids[:2]


@pytest.mark.parametrize(("most_lines", "is_truncated"), [(6, "false"), (5, "true")])
def test_as_many_lines_as_a_spreadsheet_opens_are_not_too_many(
    client: TestClient, account: str, ids: list[str], monkeypatch: pytest.MonkeyPatch,
    most_lines: int, is_truncated: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(csv_text, "MAX_LINES", most_lines)
    answer = client.get("/api/v1/events.csv", params={"account": account})
    assert answer.headers["x-auditbus-truncated"] == is_truncated
    assert [row["ID"] for row in _rows(answer.content)] == ids[: most_lines - 1]
    assert answer.content.count(b"\r\n") == most_lines


def test_whole_events_and_parquet(client: TestClient, account: str, ids: list[str]) -> None:
    lines = client.get(
        "/api/v1/events.ndjson", params={"account": account, "compress": "zstd"}
    ).content
    assert {json.loads(line)["id"] for line in zstd.decompress(lines).splitlines()} == set(ids)
    parquet = client.get("/api/v1/events.parquet", params={"account": account}).content
    assert set(pq.read_table(io.BytesIO(parquet))["id"].to_pylist()) == set(ids)


def test_a_wrong_column_is_named(client: TestClient) -> None:
    answer = client.get("/api/v1/events.csv", params={"columns": "nope"})
    assert (answer.status_code, answer.json()["field"]) == (400, "columns")


def test_nobody_downloads_without_signing_in(store: Client) -> None:
    for kind in ("csv", "ndjson", "parquet"):
        assert program(console_app(store), "").get(f"/api/v1/events.{kind}").status_code == 401


def test_a_download_that_is_broken_off_is_recorded_as_that() -> None:
    class Running:
        def pieces(self) -> Iterator[bytes]:
            yield b"one"
            yield b"two"

    errors: list[str | None] = []
    pieces = _recorded(Running(), errors.append)  # type: ignore[arg-type]
    assert next(pieces) == b"one"
    pieces.close()  # type: ignore[attr-defined]
    assert errors == ["the download was broken off"]
