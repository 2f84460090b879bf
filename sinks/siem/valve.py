"""Whether a destination may send: closed by `auditbus destinations pause`, opened by `resume`."""

from __future__ import annotations

import threading

__all__ = ["Valve"]


class Valve:
    """Turned by the thread that reads the control topic, heeded by the destination's."""

    def __init__(self) -> None:
        """Start open."""
        self._is_closed = False
        self._push = threading.Event()

    @property
    def is_closed(self) -> bool:
        """Whether nothing may be sent until it is opened."""
        return self._is_closed

    def close(self) -> None:
        """Let nothing out; what is under way is still answered."""
        self._is_closed = True

    def open(self) -> None:
        """Let events out, and ask for a try at once, whatever the destination said before."""
        self._is_closed = False
        self._push.set()

    def take_push(self) -> bool:
        """Whether a try was asked for since the last look."""
        if not self._push.is_set():
            return False
        self._push.clear()
        return True
