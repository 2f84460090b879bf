"""How far a partition may be committed when whole batches are delivered and settled."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

__all__ = ["BatchWindow", "DeliveredBatch"]


@dataclass(slots=True, eq=False)
class DeliveredBatch:
    """One batch handed to the agent; `next_offset` is the offset after its last record."""

    next_offset: int
    settled: bool = False


@dataclass(slots=True)
class BatchWindow:
    """The batches of one partition that are delivered and not yet committed, in order.

    The committable offset never passes a batch that is not settled, whatever was settled after it.
    """

    _batches: deque[DeliveredBatch] = field(default_factory=deque)

    def deliver(self, next_offset: int) -> DeliveredBatch:
        """Note that a batch has been handed to the agent."""
        batch = DeliveredBatch(next_offset)
        self._batches.append(batch)
        return batch

    def take_committable(self) -> int | None:
        """Return the offset up to which all is settled, once; None when nothing new is."""
        offset = None
        while self._batches and self._batches[0].settled:
            offset = self._batches.popleft().next_offset
        return offset
