"""A role stops when it is told: SIGTERM from a supervisor, SIGINT from a terminal.

SIGHUP, where a role heeds it, asks it to look at its settings again.
"""

from __future__ import annotations

import signal
import threading

__all__ = ["notice_hangups", "notice_interrupts", "stop_on_signals"]


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


def notice_interrupts() -> threading.Event:
    """Let Ctrl-C raise KeyboardInterrupt as ever, and set the returned event as well.

    Python drops what is raised in a destructor or in a callback of a C library: a loop that looks
    at the event ends all the same. Call from the main thread.
    """
    interrupted = threading.Event()

    def interrupt(_signal: int, _frame: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    return interrupted
