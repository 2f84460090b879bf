"""Reads records whose header names are not UTF-8, on which aiokafka's parser raises.

No broker looks at the names, so one such record would end every worker that comes to it, again and
again. Here its batch is parsed once more, with what is not UTF-8 replaced; key and value stay as
they are. The other batches keep aiokafka's parser in C.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, SupportsIndex, cast

from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

__all__ = ["LenientRecords"]

# Every batch, of any version, begins with its base offset (int64) and the length (int32) of what
# follows: https://kafka.apache.org/documentation/#recordbatch
_PREFIX = struct.Struct(">qi")


class LenientRecords:
    """Stands in for aiokafka's MemoryRecords: the batches of one fetch of one partition."""

    def __init__(self, data: bytes) -> None:
        """Hold the bytes as they were fetched; the last batch may be cut off."""
        records = MemoryRecords(data)
        self.has_next = records.has_next
        self.size_in_bytes = records.size_in_bytes
        self._next_batch = records.next_batch
        self._data = data
        self._position = 0

    def next_batch(self) -> Any:
        """Return the next batch, None after the last."""
        batch = self._next_batch()
        if batch is None:
            return None
        start = self._position
        _, length = _PREFIX.unpack_from(self._data, start)
        self._position = start + _PREFIX.size + length
        if batch.is_control_batch:  # the fetcher reads it in another way; it has no headers
            return batch
        return _LenientBatch(batch, memoryview(self._data)[start : self._position])


class _LenientBatch:
    def __init__(self, batch: Any, data: memoryview) -> None:
        self._batch = batch
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            yield from self._batch
        except UnicodeDecodeError:
            # From the batch's start: the fetcher passes over the offsets it has had.
            again = _DefaultRecordBatchPy(bytes(self._data))
            again._maybe_uncompress()  # noqa: SLF001
            again._buffer = _LenientBuffer(again._buffer)  # noqa: SLF001
            yield from again


class _LenientBuffer(bytearray):
    def __getitem__(self, key: SupportsIndex | slice) -> Any:
        part = super().__getitem__(key)
        return _LenientBuffer(cast("bytearray", part)) if isinstance(key, slice) else part

    def decode(self, encoding: str = "utf-8", errors: str = "replace") -> str:
        return super().decode(encoding, errors)
