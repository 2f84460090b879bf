"""Parquet: typed columns and the whole event, one row group after another, compressed by zstd.

The engine hands over Arrow batches, which pyarrow writes: the file grows as it is read, in the
memory of one row group, whatever its size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from clickhouse_connect.driver.client import Client

from auditbus.console.export.columns import Column
from auditbus.console.export.reading import newest_first
from auditbus.console.export.writer import Chunk
from auditbus.console.query.predicate import Predicate

__all__ = ["ParquetWriter"]

_MOMENTS = frozenset({"time", "received_at"})
_ENGINE_SETTINGS = {"output_format_arrow_string_as_string": 1}
_GROUP_ROWS = 50_000


class ParquetWriter:
    """Writes `columns` as they are, no cell altered, and `event`, the enriched event in JSON."""

    def __init__(self, columns: Sequence[Column]) -> None:
        """Nothing is written yet."""
        names = [column.name for column in columns]
        # Under names of their own: an alias such as `account` would hide the column in WHERE.
        expressions = [f"{column.sql} AS export_{column.name}" for column in columns]
        self._expressions = ", ".join([*expressions, "event AS export_event"])
        moment = pa.timestamp("ms", tz="UTC")
        kinds = [moment if name in _MOMENTS else pa.string() for name in names]
        self._schema = pa.schema(list(zip([*names, "event"], [*kinds, pa.string()], strict=True)))
        self._file = _Pipe()
        self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")

    def begin(self) -> bytes:
        """Return the magic number."""
        return self._file.drain()

    def rows(self, client: Client, wanted: Predicate, limit: int) -> Iterator[Chunk]:
        """Yield one row group at a time."""
        with newest_first(
            client, self._expressions, wanted, limit, "ArrowStream", _ENGINE_SETTINGS
        ) as stream:
            held: list[pa.RecordBatch] = []
            for batch in pa.ipc.open_stream(stream):
                held.append(batch.rename_columns(self._schema.names).cast(self._schema))
                if sum(len(part) for part in held) >= _GROUP_ROWS:
                    yield self._written(held)
                    held = []
            if held:
                yield self._written(held)

    def end(self) -> bytes:
        """Return the footer."""
        self._writer.close()
        return self._file.drain()

    def _written(self, batches: Sequence[pa.RecordBatch]) -> Chunk:
        table = pa.Table.from_batches(batches, self._schema)
        self._writer.write_table(table)
        return Chunk(self._file.drain(), len(table))


class _Pipe:
    """A file that only grows; what was written is taken out."""

    closed = False

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._size = 0

    def write(self, content: bytes) -> int:
        data = bytes(content)
        self._written.append(data)
        self._size += len(data)
        return len(data)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """Nothing to close."""

    def drain(self) -> bytes:
        content = b"".join(self._written)
        self._written.clear()
        return content
