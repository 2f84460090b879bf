"""What answers say of the destination itself: whether requests may go out, or a person must act."""

from __future__ import annotations

import math

from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.circuit import Circuit, CircuitState
from auditbus.sinks.siem.outcomes import Accepted, Blocked, Failed, Outcome, Rejected
from auditbus.sinks.siem.refused import DEAD_LETTER_UNWRITTEN
from auditbus.sinks.siem.sender import Unsent
from auditbus.sinks.siem.standing import Standing

__all__ = ["Judge"]


class Judge:
    """Keeps the circuit and the standing. Belongs to the destination's consumer thread."""

    def __init__(self, standing: Standing, backoff: Backoff) -> None:
        """Start with a closed circuit."""
        self.circuit = Circuit(backoff, standing.circuit_changed)
        self._standing = standing

    def hear(self, outcome: Outcome | Unsent, now: float) -> bool:
        """Take in one answer; return whether by it the destination is down (or still is)."""
        match outcome:
            case Unsent():
                self.circuit.abstain()
            case Blocked(code, reason, final):
                self._standing.alarm(code, reason)
                self.circuit.open_for(now, math.inf if final else None)
                return True
            case Failed():
                self._fail(outcome, now)
                return self.circuit.state is CircuitState.OPEN
            case Rejected(code, reason):
                self._standing.failed(code, reason)
                self.circuit.succeed()  # it answers; the payload is to blame
            case Accepted():
                pass  # no news: a circuit that is half open waits for the acknowledgement
            case _:
                self._standing.succeeded()
                self.circuit.succeed()
        return False

    def _fail(self, failure: Failed, now: float) -> None:
        self._standing.failed(failure.code, failure.reason)
        if failure.code == DEAD_LETTER_UNWRITTEN:
            self._standing.alarm(failure.code, failure.reason)
        if failure.throttled or failure.retry_after_s is not None:
            self.circuit.open_for(now, failure.retry_after_s)
        else:
            self.circuit.fail(now)
