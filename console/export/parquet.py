"""Parquet: typed columns and the whole event, compressed by zstd.

The engine writes a file a slice; their row groups are passed on as they come, and one footer is
written for all. So nothing is held but the end of a slice, where its footer may begin.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

from clickhouse_connect.driver.client import Client

from auditbus.console.export.columns import Column
from auditbus.console.export.errors import ExportBroken
from auditbus.console.export.parquet_footer import MAGIC, Footer
from auditbus.console.export.reading import STORED_ORDER, Order, read_rows
from auditbus.console.export.writer import Chunk
from auditbus.console.query.predicate import Predicate

__all__ = ["ParquetWriter"]

_READ_BYTES = 1024 * 1024
# What a footer may take: it grows by some 10 KB a row group, so this is a hundred million events.
_MOST_FOOTER_BYTES = 16 * 1024 * 1024
_TAIL_BYTES = 8  # the footer's length, and the magic number
_ENGINE_SETTINGS = {
    "output_format_parquet_row_group_size": 100_000,
    "output_format_parquet_string_as_string": 1,
    # An alias such as `account` would hide the column in WHERE.
    "prefer_column_name_to_alias": 1,
}


class ParquetWriter:
    """Writes `columns` as they are, no cell altered, and `event`, the enriched event in JSON."""

    order = STORED_ORDER

    def __init__(self, columns: Sequence[Column]) -> None:
        """Nothing is written yet."""
        named = [f"{column.sql} AS {column.name}" for column in columns]
        self._expressions = ", ".join([*named, "event"])
        self._footer = Footer()
        self._written = 0

    def begin(self) -> bytes:
        """Return the magic number."""
        self._written = len(MAGIC)
        return MAGIC

    def rows(self, client: Client, wanted: Predicate, order: Order, limit: int) -> Iterator[Chunk]:
        """Yield the row groups; how many rows they hold is known with the last chunk."""
        shift = self._written - len(MAGIC)
        with read_rows(
            client, self._expressions, wanted, order, limit, "Parquet", _ENGINE_SETTINGS
        ) as stream:
            held = _HeldBack()
            while piece := stream.read(_READ_BYTES):
                yield from self._passed_on(held.add(piece), 0)
        groups, footer = held.rest()
        try:
            rows = self._footer.add(footer, shift)
        except ValueError as error:
            raise ExportBroken(f"the store's answer is no Parquet file: {error}") from None
        yield from self._passed_on(groups, rows)

    def end(self, client: Client) -> bytes:
        """Return the footer. Asks the engine for an empty file where there was no slice."""
        if self._footer.is_empty:
            for _ in self.rows(client, Predicate("false"), STORED_ORDER, 1):
                pass
        return self._footer.to_bytes()

    def _passed_on(self, content: bytes, rows: int) -> Iterator[Chunk]:
        self._written += len(content)
        if content or rows:
            yield Chunk(content, rows)


class _HeldBack:
    """A file as it comes in: gives out all but its first magic number and what may be footer."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._is_begun = False

    def add(self, piece: bytes) -> bytes:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size - len(self._pieces[0]) < _MOST_FOOTER_BYTES:
            return b""
        return self._begun(self._take())

    def rest(self) -> tuple[bytes, bytes]:
        """Return the last row groups and the footer. Raises ExportBroken."""
        content = b"".join(self._pieces)
        size = int.from_bytes(content[-_TAIL_BYTES : -len(MAGIC)], "little")
        end = len(content) - _TAIL_BYTES
        if not content.endswith(MAGIC) or size > end:
            raise ExportBroken("the store's answer broke off, or its footer is too long")
        return self._begun(content[: end - size]), content[end - size : end]

    def _take(self) -> bytes:
        piece = self._pieces.popleft()
        self._size -= len(piece)
        return piece

    def _begun(self, content: bytes) -> bytes:
        """Return `content` without the magic number, where the file begins with it."""
        if self._is_begun:
            return content
        self._is_begun = True
        return content.removeprefix(MAGIC)
