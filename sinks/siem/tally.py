"""What became of a destination's events, counted since its process began."""

from __future__ import annotations

import threading

import msgspec

__all__ = ["Counts", "Tally"]


class Counts(msgspec.Struct, frozen=True):
    """Events; one that is sent twice counts twice in `sent`."""

    sent: int = 0
    """In requests that went out, every try."""
    acknowledged: int = 0
    """Taken by the destination."""
    retried: int = 0
    """To be sent again."""
    refused: int = 0
    """Dead letters."""
    filtered: int = 0
    """Settled without being sent, as the destination's filter says."""

    def __add__(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(*(getattr(self, n) + getattr(other, n) for n in self.__struct_fields__))


class Tally:
    """Counts from several threads."""

    def __init__(self) -> None:
        """Begin at zero."""
        self._counts = Counts()
        self._lock = threading.Lock()

    def add(self, counts: Counts) -> None:
        """Add `counts`."""
        with self._lock:
            self._counts += counts

    @property
    def counts(self) -> Counts:
        """The counts so far."""
        return self._counts
