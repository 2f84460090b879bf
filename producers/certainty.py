"""How sure the caller of `emit` wants to be before it returns."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal, get_args

from auditbus.runtime.errors import SettingsError, WouldBlock

__all__ = ["Certainty", "CertaintyByAction", "refuse_in_event_loop"]

Certainty = Literal["best_effort", "acknowledged", "fail_closed"]
"""What a return of `emit` means, and what it does otherwise.

best_effort    the event was taken, by the queue or by the spool. Never blocks; raises where neither
               has room.
acknowledged   Kafka has the event with all its replicas, or the spool has it on the disk (synced).
               Blocks until then; raises DeliveryFailed after the timeout, when the event may yet
               arrive.
fail_closed    Kafka has the event with all its replicas: so do what it tells of. Blocks until
               then; otherwise raises, and the event is not spooled.
"""


class CertaintyByAction:
    """The certainty of each action, with a default."""

    __slots__ = ("_by_action", "_default", "is_best_effort")

    def __init__(self, by_action: Mapping[str, Certainty], default: Certainty) -> None:
        """Take the words of actions and of the rest; raises SettingsError for an unknown one."""
        for name, certainty in (*by_action.items(), ("default_delivery", default)):
            _check(name, certainty)
        self._by_action = dict(by_action)
        self._default = default
        self.is_best_effort = default == "best_effort" and not by_action
        """Whether every action is, where a call does not choose."""

    def of(self, action: object, chosen: Certainty | None) -> Certainty:
        """Return what was chosen for this call, or the action's, or the default."""
        if chosen is not None:
            _check("delivery", chosen)
            return chosen
        if self._by_action and isinstance(action, str):
            return self._by_action.get(action, self._default)
        return self._default


def refuse_in_event_loop() -> None:
    """Raise WouldBlock where an event loop runs in this thread."""
    if asyncio._get_running_loop() is not None:  # noqa: SLF001
        raise WouldBlock(
            "this emit waits for Kafka and would block the event loop: await emit_async() instead"
        )


def _check(name: str, certainty: str) -> None:
    if certainty not in get_args(Certainty):
        known = ", ".join(get_args(Certainty))
        raise SettingsError(f"delivery of {name}: {certainty!r} is none of {known}")
