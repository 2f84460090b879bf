"""What befalls a producer from outside: the fork of its process, and the interpreter's end."""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable
from typing import Any

__all__ = ["keep_for_ever", "register"]


_Reaction = Callable[[Any], None]
# Functions of the class, not bound methods: those would keep each producer alive.
_living: weakref.WeakKeyDictionary[object, tuple[_Reaction, _Reaction]] = (
    weakref.WeakKeyDictionary()
)


def register(producer: object, after_fork_in_child: _Reaction, at_exit: _Reaction) -> None:
    """Call these functions with `producer`, for as long as somebody holds it.

    `after_fork_in_child` must never block; `at_exit` may for a bounded time.
    """
    _living[producer] = (after_fork_in_child, at_exit)


def keep_for_ever(thing: object) -> None:
    """Never let `thing` be destroyed.

    A forked process has none of its parent's threads: librdkafka would wait for ever to join them
    if the child destroyed the parent's handle.
    """
    import ctypes  # in the child of a fork alone

    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork_in_child() -> None:
    for producer, (after_fork_in_child, _) in tuple(_living.items()):
        after_fork_in_child(producer)


# At exit, the handlers that a service registers after importing this run before: they may emit.
@atexit.register
def _at_exit() -> None:
    for producer, (_, at_exit) in tuple(_living.items()):
        at_exit(producer)


if hasattr(os, "register_at_fork"):  # Windows has none, and no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
