"""What was sent lately, to be sent again when the connection ends.

Bytes that a receiver's kernel has acknowledged may sit unread in its buffer, 6 MiB by Linux's
default, when the receiver dies. Nobody is told.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

__all__ = ["Tail"]


class Tail:
    """Pieces of a connection's stream, oldest first. Not thread-safe. Times are monotonic."""

    def __init__(self, most_bytes: int, keep_s: float) -> None:
        """Keep pieces for `keep_s`, as far as they fit in `most_bytes`."""
        self._most_bytes = most_bytes
        self._keep_s = keep_s
        self._pieces: deque[tuple[float, bytes]] = deque()
        self._bytes = 0

    def add(self, data: bytes, now: float) -> None:
        """Append what is about to be sent; the oldest make room."""
        self._pieces.append((now, data))
        self._bytes += len(data)
        while self._bytes > self._most_bytes:
            self._drop_oldest()

    def forget(self, data: bytes) -> None:
        """Take out what the caller sends again by itself, if it is here: the very object."""
        kept = [piece for piece in self._pieces if piece[1] is not data]
        self._pieces = deque(kept)
        self._bytes = sum(len(piece) for _, piece in kept)

    def prune(self, seen_open_at: float) -> None:
        """Drop what was sent `keep_s` before a moment at which the connection was open."""
        while self._pieces and self._pieces[0][0] < seen_open_at - self._keep_s:
            self._drop_oldest()

    def renew(self, now: float) -> None:
        """Note that all of it was sent again."""
        self._pieces = deque((now, data) for _, data in self._pieces)

    def __len__(self) -> int:
        """Count the bytes."""
        return self._bytes

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces, oldest first."""
        return (data for _, data in self._pieces)

    def _drop_oldest(self) -> None:
        self._bytes -= len(self._pieces.popleft()[1])
