"""Memory for events between Kafka and a request: one bound for the process, shared fairly.

Every destination has the same part of it, used or not. So one that hangs with all its part full
takes nothing from the others, and the sum never passes the bound, however many catch up at a time.
The price is that a destination cannot use what others leave; a few batches each are enough.
"""

from __future__ import annotations

__all__ = ["Budget"]

# librdkafka's own queue is a part of each destination's part.
_QUEUE_PART = 4
_QUEUE_MIN_BYTES, _QUEUE_MAX_BYTES = 128 * 1024, 2 * 1024 * 1024
# Of an event that waits for acknowledgement the offsets are kept, 16 bytes.
_UNACKNOWLEDGED_PART_BYTES = 32
_UNACKNOWLEDGED_MAX = 500_000


class Budget:
    """Divided by the fleet's thread, heeded by the destinations'."""

    def __init__(self, total_bytes: int) -> None:
        """All of it for one destination, until it is divided."""
        self._total_bytes = total_bytes
        self._parts = 1

    def divide(self, destinations: int) -> None:
        """Share it among so many; who has more than its new part just reads no more for a while."""
        self._parts = max(destinations, 1)

    @property
    def part_bytes(self) -> int:
        """What one destination may hold of events, read and sent, before it stops reading.

        Passed by what one read brings, and by one event that is larger.
        """
        return self._total_bytes // self._parts

    @property
    def queue_bytes(self) -> int:
        """What its Kafka client may fetch ahead; on top of `part_bytes`."""
        return min(max(self.part_bytes // _QUEUE_PART, _QUEUE_MIN_BYTES), _QUEUE_MAX_BYTES)

    @property
    def unacknowledged_events(self) -> int:
        """How many may wait for acknowledgement before no more are sent; on top, too."""
        return min(self.part_bytes // _UNACKNOWLEDGED_PART_BYTES, _UNACKNOWLEDGED_MAX)
