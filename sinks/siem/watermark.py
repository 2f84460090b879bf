"""How far a partition may be committed: never past an event that is not settled.

Settled means acknowledged by the destination, or acknowledged by Kafka in the dead letter topic.
Only offsets are kept here, as ranges; a range also covers the offsets that hold no record
(transaction markers, compaction) before the record it ends with.
"""

from __future__ import annotations

from auditbus.sinks.siem.intervals import IntervalSet

__all__ = ["Watermark"]


class Watermark:
    """The state of one partition's offsets, from the first that is not settled.

    An offset is open (to be read, or read and waiting), taken (in a request) or settled.
    """

    def __init__(self, start: int) -> None:
        """Begin at `start`, the next offset to deliver."""
        self.position = start
        """The offset to commit: everything below it is settled."""
        self._taken = IntervalSet()
        self._settled = IntervalSet()

    def is_open(self, offset: int) -> bool:
        """Whether the record at `offset` still has to be put into a request."""
        return offset >= self.position and offset not in self._settled and offset not in self._taken

    def take(self, start: int, end: int) -> None:
        """Note that `[start, end)` is in a request."""
        self._taken.add(start, end)

    def release(self, start: int, end: int) -> None:
        """Note that the request for `[start, end)` came to nothing: it is open again."""
        self._taken.discard(start, end)

    def settle(self, start: int, end: int) -> None:
        """Note that `[start, end)` is settled; moves `position` where nothing below is open."""
        self._taken.discard(start, end)
        self._settled.add(max(start, self.position), end)
        reached = self._settled.end_of(self.position)
        if reached is not None:
            self._settled.discard(self.position, reached)
            self.position = reached
