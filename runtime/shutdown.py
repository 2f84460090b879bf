"""A role stops when it is told: SIGTERM from a supervisor, SIGINT from a terminal.

SIGHUP, where a role heeds it, asks it to look at its settings again.
"""

from __future__ import annotations

import signal
import threading

__all__ = ["notice_hangups", "stop_on_signals"]


def stop_on_signals() -> threading.Event:
    """Return an event that SIGTERM or SIGINT sets. Call from the main thread."""
    stop = threading.Event()

    def request_stop(_signal: int, _frame: object) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, request_stop)
    signal.signal(signal.SIGINT, request_stop)
    return stop


def notice_hangups() -> threading.Event:
    """Return an event that SIGHUP sets; in any thread but the main one, nothing does."""
    hangup = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, lambda *_: hangup.set())
    return hangup
