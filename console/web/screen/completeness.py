"""Up to when the log is complete, where the console knows: `app.state.completeness`."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from datetime import datetime
from typing import Protocol

from fastapi import Request

__all__ = ["Known", "asker", "known_soon"]


class Known(Protocol):
    """`up_to` speaks of when events were received; where it is None, `reason` says why."""

    @property
    def up_to(self) -> datetime | None:
        """Every event that was received before is in the log."""

    @property
    def reason(self) -> str | None:
        """Why nobody knows."""


_PATIENCE_S = 0.01  # it was asked for before the rows were


def known_soon(asked: Future[Known | None]) -> Known | None:
    """Return the answer; None where it takes longer than a page should wait for it."""
    try:
        return asked.result(_PATIENCE_S)
    except NotYet:
        return None


def asker(request: Request) -> Callable[[], Known | None]:
    """Return what asks; it may block for a second or two, where Kafka does not answer."""
    watch = getattr(request.app.state, "completeness", None)
    if watch is None:
        return lambda: None
    ask: Callable[[], Known | None] = watch.now
    return ask
