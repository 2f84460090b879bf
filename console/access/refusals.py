"""Refusals are audited by number: an attacker who tries a thousand times makes one event a minute.

Else whoever is kept out could fill the log that was to show it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from auditbus.console.access.attempts import network_of
from auditbus.console.access.principal import Principal
from auditbus.console.access.recorder import Caller, Recorder

__all__ = ["MAX_COUNTED", "WINDOW_S", "Refusals"]

WINDOW_S = 60.0
MAX_COUNTED = 500
"""Callers told apart within a minute; those beyond are counted together."""


@dataclass(slots=True)
class _Count:
    began_s: float
    principal: Principal | None
    caller: Caller
    reason: str
    count: int = 0


class Refusals:
    """Counts by principal, else by address, and by reason. Safe for many threads.

    `flush` is to be called every few seconds, and with `everything` at the end.
    """

    def __init__(self, recorder: Recorder, clock: Callable[[], float] = time.monotonic) -> None:
        """Count nothing yet."""
        self._recorder = recorder
        self._clock = clock
        self._lock = Lock()
        self._counts: dict[tuple[str, str], _Count] = {}

    def count(self, reason: str, principal: Principal | None, caller: Caller) -> None:
        """Count one refusal. `reason` is one of few texts, never what the caller sent."""
        who = principal.id if principal is not None else network_of(caller.ip)
        with self._lock:
            key = (who, reason)
            if key not in self._counts and len(self._counts) >= MAX_COUNTED:
                key, principal, caller = ("", reason), None, Caller()
            if key not in self._counts:
                self._counts[key] = _Count(self._clock(), principal, caller, reason)
            self._counts[key].count += 1

    def flush(self, *, everything: bool = False) -> None:
        """Record what a minute has brought."""
        ended = self._clock() - WINDOW_S
        with self._lock:
            done = {
                key: count
                for key, count in self._counts.items()
                if everything or count.began_s <= ended
            }
            for key in done:
                del self._counts[key]
        for count in done.values():
            times = "once" if count.count == 1 else f"{count.count} times in a minute"
            self._recorder.record(
                "AccessRefused",
                f"Refused access {times}",
                principal=count.principal,
                caller=count.caller,
                error=count.reason,
                metadata={"count": count.count},
            )
