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
from auditbus.console.export.reading import STORED_ORDER, Order, read_rows
from auditbus.console.export.writer import Chunk
from auditbus.console.query.predicate import Predicate

__all__ = ["ParquetWriter"]

# The system's pool gives back to the system what a group took; Arrow's own keeps it.
_pool = pa.system_memory_pool()
pa.set_memory_pool(_pool)
_MOMENTS = frozenset({"time", "received_at"})
_GROUP_BYTES = 8 * 1024 * 1024
# Nearly every value of these is another: a dictionary of them would cost memory and save nothing.
_ALL_DIFFERENT = frozenset({"id", "event", "time", "received_at"})
# Small blocks: one is a batch, and held whole.
_ENGINE_SETTINGS = {"output_format_arrow_string_as_string": 1, "max_block_size": 8192}


class ParquetWriter:
    """Writes `columns` as they are, no cell altered, and `event`, the enriched event in JSON."""

    order = STORED_ORDER

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
        repeated = [name for name in names if name not in _ALL_DIFFERENT]
        self._writer = pq.ParquetWriter(
            self._file, self._schema, compression="zstd", use_dictionary=repeated or False
        )

    def begin(self) -> bytes:
        """Return the magic number."""
        return self._file.drain()

    def rows(self, client: Client, wanted: Predicate, order: Order, limit: int) -> Iterator[Chunk]:
        """Yield one row group at a time."""
        with read_rows(
            client, self._expressions, wanted, order, limit, "ArrowStream", _ENGINE_SETTINGS
        ) as stream:
            held: list[pa.RecordBatch] = []
            for batch in pa.ipc.open_stream(stream):
                held.append(batch.rename_columns(self._schema.names).cast(self._schema))
                if sum(part.nbytes for part in held) >= _GROUP_BYTES:
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
        _pool.release_unused()
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
