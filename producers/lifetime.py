"""What befalls a producer from outside: the fork of its process, and the interpreter's end."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import Protocol

__all__ = ["keep_for_ever", "register"]


class Mortal(Protocol):
    """A producer, as this module sees it."""

    def after_fork_in_child(self) -> None:
        """Give up what belongs to the parent; never blocks."""

    def at_exit(self) -> None:
        """Flush within a bound, or say what was lost."""


_living: weakref.WeakSet[Mortal] = weakref.WeakSet()


def register(producer: Mortal) -> None:
    """Tell `producer` of forks and of the end, for as long as somebody holds it."""
    _living.add(producer)


def keep_for_ever(thing: object) -> None:
    """Never let `thing` be destroyed.

    A forked process has none of its parent's threads: librdkafka would wait for ever to join them
    if the child destroyed the parent's handle.
    """
    import ctypes  # in the child of a fork alone

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork_in_child() -> None:
    for producer in tuple(_living):
        producer.after_fork_in_child()


# At exit, the handlers that a service registers after importing this run before: they may emit.
@atexit.register
def _at_exit() -> None:
    for producer in tuple(_living):
        producer.at_exit()


if hasattr(os, "register_at_fork"):  # Windows has none, and no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
