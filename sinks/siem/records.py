"""Records as the forwarder holds them between Kafka and a request."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from auditbus.runtime.dead_letters import Header

__all__ = ["Batch", "Record", "ranges"]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """One Kafka record; two are equal only if they are the same object.

    `[start, offset]` are the offsets it settles: those before it hold nothing. `timestamp_ms` is
    the broker's, -1 where unknown.
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


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition, in order, for one request.

    `attempts` counts earlier requests with just these records. `suspect`: cut from a batch whose
    payload was blamed, so the next blame is believed at once. `sent`: of a batch that waits for its
    acknowledgement, the indexes of the records that were in the request.
    """

    topic: str
    partition: int
    records: tuple[Record, ...]
    attempts: int = 0
    suspect: bool = False
    sent: tuple[int, ...] = ()


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
