"""Which events an export holds, in which order, whatever arrives or breaks off meanwhile."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.export import ALL_COLUMNS, chosen_columns
from auditbus.console.export.errors import ExportBroken
from auditbus.console.export.formats import Format
from auditbus.console.export.parquet import ParquetWriter
from auditbus.console.export.stream import ExportStream
from auditbus.console.export.text import csv_writer, ndjson_writer
from auditbus.console.query import EventFilter, event_predicate
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


def _store(client: Client, *events: dict[str, Any]) -> None:
    Writer(client).insert([encode(event) for event in events], f"test:{uuid7()}")


def _rows(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))


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


def test_parquet_of_several_months_is_one_file(client: Client, account: str) -> None:
    ids = _filled(client, account)
    wanted = event_predicate(EventFilter(accounts=(account,)))
    stream = ExportStream.planned(client, ParquetWriter(ALL_COLUMNS), wanted, None)
    table = pq.read_table(io.BytesIO(b"".join(stream.chunks())))
    rows = table.to_pylist()
    assert sorted(row["id"] for row in rows) == sorted(ids)
    assert all(json.loads(row["event"])["id"] == row["id"] for row in rows)
    assert len(stream.plan.slices) > 1
    assert stream.rows == len(ids)


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
