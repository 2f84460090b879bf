"""A batch: records in the order they were read, and what names it.

A batch is known by the topic's id and each partition's range of offsets. The same records give the
same token after any retry or crash; a topic that was deleted and made anew, whose offsets repeat,
gives others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Message

__all__ = ["Batch", "deduplication_token"]


@dataclass(slots=True)
class Batch:
    """Records to store, and records without a value (tombstones, empty), which are dead letters.

    `next_offsets` maps a partition to the offset to commit once all of them are settled.
    """

    records: list[Message] = field(default_factory=list)
    empty: list[Message] = field(default_factory=list)
    next_offsets: dict[int, int] = field(default_factory=dict)
    size_bytes: int = 0

    def __len__(self) -> int:
        """Count all records, empty ones too."""
        return len(self.records) + len(self.empty)

    def extend(self, messages: Iterable[Message]) -> None:
        """Add records as they came from the consumer, none of them an error."""
        records, next_offsets = self.records, self.next_offsets
        size_bytes = 0
        for message in messages:
            partition: int = message.partition()  # type: ignore[assignment]  # read, so it has one
            offset: int = message.offset()  # type: ignore[assignment]
            value = message.value()
            next_offsets[partition] = offset + 1
            if value:
                records.append(message)
                size_bytes += len(value)
            else:
                self.empty.append(message)
        self.size_bytes += size_bytes

    def drop(self, partitions: set[int]) -> None:
        """Forget the records of partitions that another consumer now reads."""
        if partitions.isdisjoint(self.next_offsets):
            return
        self.records = [m for m in self.records if m.partition() not in partitions]
        self.empty = [m for m in self.empty if m.partition() not in partitions]
        self.size_bytes = sum(len(m.value() or b"") for m in self.records)
        for partition in partitions:
            self.next_offsets.pop(partition, None)


def deduplication_token(topic_id: str, records: Sequence[Message]) -> str:
    """Name these records: `TOPIC_ID:PARTITION=FIRST-LAST,...`.

    `records` must be a run of a batch, so that each partition's are contiguous.
    """
    last = {message.partition(): message.offset() for message in records}
    first = {message.partition(): message.offset() for message in reversed(records)}
    spans = sorted(f"{partition}={first[partition]}-{last[partition]}" for partition in last)
    return f"{topic_id}:{','.join(spans)}"
