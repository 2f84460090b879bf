"""CSV and NDJSON: the engine writes the records, which are counted on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from clickhouse_connect.driver.client import Client

from auditbus.console.export import csv_text
from auditbus.console.export.columns import Column
from auditbus.console.export.reading import NEWEST_FIRST, STORED_ORDER, Order, read_rows
from auditbus.console.export.writer import Chunk
from auditbus.console.query.predicate import Predicate

__all__ = ["csv_writer", "ndjson_writer"]

_CHUNK_BYTES = 1024 * 1024
# An event keeps its bytes, but for a line break between its members, which JSON allows.
_ONE_LINE = r"translate(event, '\r\n', '  ')"

Counter = Callable[[bytes], int]


def csv_writer(columns: Sequence[Column], *, bom: bool = True) -> TextWriter:
    """Return what writes `columns` as CSV; `bom` as spreadsheets want it."""
    header = csv_text.header(columns)
    return TextWriter(
        NEWEST_FIRST,
        ", ".join(map(csv_text.sql, columns)),
        csv_text.ENGINE_FORMAT,
        csv_text.ENGINE_SETTINGS,
        csv_text.BOM + header if bom else header,
        lambda: csv_text.RecordCounter().count,
    )


def ndjson_writer() -> TextWriter:
    """Return what writes the enriched events, one a line."""
    return TextWriter(STORED_ORDER, f"{_ONE_LINE} AS line", "TSVRaw", {}, b"", lambda: _count_lines)


@dataclass(frozen=True, slots=True)
class TextWriter:
    """Passes on what the engine writes, and counts."""

    order: Order
    expressions: str
    engine_format: str
    engine_settings: Mapping[str, int]
    beginning: bytes
    new_counter: Callable[[], Counter]

    def begin(self) -> bytes:
        """Return the header."""
        return self.beginning

    def rows(self, client: Client, wanted: Predicate, order: Order, limit: int) -> Iterator[Chunk]:
        """Yield them in pieces of about a megabyte."""
        count = self.new_counter()
        with read_rows(
            client, self.expressions, wanted, order, limit, self.engine_format, self.engine_settings
        ) as stream:
            while content := stream.read(_CHUNK_BYTES):
                yield Chunk(content, count(content))

    def end(self, _: Client) -> bytes:
        """Return nothing: text just ends."""
        return b""


def _count_lines(content: bytes) -> int:
    return content.count(b"\n")
