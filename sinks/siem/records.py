"""Records as the forwarder holds them between Kafka and a request."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import overload

import msgspec

from auditbus.runtime.dead_letters import Header

__all__ = ["Batch", "Offsets", "Record", "ranges"]


class Record(msgspec.Struct, frozen=True, eq=False, gc=False):
    """One Kafka record; two are equal only if they are the same object.

    `[start, offset]` are the offsets it settles: those before it hold nothing. `timestamp_ms` is
    the broker's, -1 where unknown. One is made for each event: a Struct costs a tenth of a data
    class, and the garbage collector need not look at it.
    """

    start: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[Header, ...]

    @property
    def size(self) -> int:
        """Bytes of the value."""
        return len(self.value or b"")


class Offsets(Sequence[Record]):
    """Records of which only the offsets are kept, 16 bytes each: they wait for acknowledgement.

    Hundreds of thousands may. Its items are made when asked for, so two are never equal.
    """

    __slots__ = ("_offsets", "_starts", "_timestamp_ms")

    def __init__(self, records: Sequence[Record]) -> None:
        """Keep the offsets of `records`, and the first one's time for all."""
        self._starts = array("q", [record.start for record in records])
        self._offsets = array("q", [record.offset for record in records])
        self._timestamp_ms = records[0].timestamp_ms if records else -1

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        start, offset = self._starts[index], self._offsets[index]
        return Record(start, offset, self._timestamp_ms, None, None, ())

    def __len__(self) -> int:
        return len(self._offsets)


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, for one request.

    `attempts` counts earlier requests with just these records. `suspect`: cut from a batch whose
    payload was blamed, so the next blame is believed at once. `first` is the offset by which the
    lane knows the request, whatever became of some of its records meanwhile.
    """

    topic: str
    partition: int
    records: Sequence[Record]
    attempts: int
    suspect: bool
    first: int


def ranges(records: Sequence[Record]) -> Iterator[tuple[int, int]]:
    """Yield the half-open offset ranges that `records` (in order) settle, neighbours joined."""
    start = end = -1
    for record in records:
        if record.start != end:
            if end > start:
                yield start, end
            start = record.start
        end = record.offset + 1
    if end > start:
        yield start, end
