"""The circuit breaker of one destination: when the next request may go out."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum

from auditbus.runtime.retry import Backoff

__all__ = ["Circuit", "CircuitState"]

# Failures in a row, over all partitions, that mean the destination itself is down.
_FAILURES_TO_OPEN = 3


class CircuitState(IntEnum):
    """The values of the metric `audit_circuit_state`."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Circuit:
    """Closed: requests flow. Open: none until a time. Half open: one, whose outcome decides.

    Not thread-safe: it belongs to the destination's consumer thread.
    """

    def __init__(self, backoff: Backoff, on_change: Callable[[CircuitState], None]) -> None:
        """Start closed; `on_change` hears of every change of state."""
        self.state = CircuitState.CLOSED
        self._backoff = backoff
        self._on_change = on_change
        self._open_until = -math.inf
        self._failures = 0

    def try_acquire(self, now: float) -> bool:
        """Whether a request may start at `now` (monotonic seconds); in half-open, one only."""
        if self.state is CircuitState.OPEN and now >= self._open_until:
            self._enter(CircuitState.HALF_OPEN)
            return True
        return self.state is CircuitState.CLOSED

    def is_waiting(self, now: float) -> bool:
        """Whether nothing may go out at `now`, so that nothing need be read either."""
        return self.state is CircuitState.OPEN and now < self._open_until

    def succeed(self) -> None:
        """Note that the destination took a request. While open, that is an older one: stay open.

        A destination that said "not before" (Retry-After) means it, whatever it took last.
        """
        self._failures = 0
        if self.state is not CircuitState.OPEN:
            self._backoff.reset()
            self._enter(CircuitState.CLOSED)

    def abstain(self) -> None:
        """Note that what was acquired was not used: a trial is still to be made."""
        if self.state is CircuitState.HALF_OPEN:
            self._enter(CircuitState.OPEN)

    def retry_now(self) -> None:
        """Forget until when nothing may go out: a person says that the cause is gone."""
        self._open_until = -math.inf
        self._backoff.reset()

    def fail(self, now: float) -> None:
        """Count a failed request; opens after several in a row, or when it was the trial."""
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN or self._failures >= _FAILURES_TO_OPEN:
            self.open_for(now, None)

    def open_for(self, now: float, delay_s: float | None) -> None:
        """Let nothing out for `delay_s` seconds (`math.inf`: never), or for the next backoff.

        Of many requests that fail together, one counts for the backoff.
        """
        if delay_s is None and self.is_waiting(now):
            return
        wait_s = self._backoff.next_delay_s()
        self._open_until = max(self._open_until, now + (wait_s if delay_s is None else delay_s))
        self._enter(CircuitState.OPEN)

    def _enter(self, state: CircuitState) -> None:
        if state is not self.state:
            self.state = state
            self._on_change(state)
