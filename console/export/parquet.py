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
# What a slice's footer may take, at some 10 KB a row group: eighty million events a month.
_MOST_FOOTER_BYTES = 8 * 1024 * 1024
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
                held.add(piece)
                yield from map(self._passed_on, held.all_but(_MOST_FOOTER_BYTES))
        ending = held.ending_bytes()
        yield from map(self._passed_on, held.all_but(ending))
        groups, footer = held.split(ending)
        try:
            rows = self._footer.add(footer, shift)
        except ValueError as error:
            raise ExportBroken(f"the store's answer is no Parquet file: {error}") from None
        yield self._passed_on(groups, rows)

    def end(self, client: Client) -> bytes:
        """Return the footer. Asks the engine for an empty file where there was no slice."""
        if self._footer.is_empty:
            for _ in self.rows(client, Predicate("false"), STORED_ORDER, 1):
                pass
        return self._footer.to_bytes()

    def _passed_on(self, content: bytes, rows: int = 0) -> Chunk:
        self._written += len(content)
        return Chunk(content, rows)


class _HeldBack:
    """A file as it comes in: gives out all but its first magic number and what may be footer."""

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._to_skip = len(MAGIC)

    def add(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def all_but(self, size: int) -> Iterator[bytes]:
        """Give out what comes before the last `size` bytes, by whole pieces: nothing is copied."""
        while self._pieces and self._size - len(self._pieces[0]) >= size:
            piece = self._pieces.popleft()
            self._size -= len(piece)
            yield self._begun(piece)

    def ending_bytes(self) -> int:
        """Return how long the footer and what follows it are. Raises ExportBroken."""
        tail = b"".join(list(self._pieces)[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        size = int.from_bytes(tail[: -len(MAGIC)], "little") + _TAIL_BYTES
        if not tail.endswith(MAGIC) or size > self._size:
            raise ExportBroken("the store's answer broke off, or its footer is too long")
        return size

    def split(self, ending_bytes: int) -> tuple[bytes, bytes]:
        """Return the last of the row groups, and the footer."""
        content = b"".join(self._pieces)
        end = len(content) - ending_bytes
        return self._begun(content[:end]), content[end:-_TAIL_BYTES]

    def _begun(self, content: bytes) -> bytes:
        """Return `content` without what is in it of the magic number that the file begins with."""
        skipped = min(self._to_skip, len(content))
        self._to_skip -= skipped
        return content[skipped:]
