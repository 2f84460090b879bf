"""How a destination stands: what /readyz, metrics, log and `destinations list` say of it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from enum import StrEnum

import msgspec

from auditbus.runtime import metrics
from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.circuit import CircuitState
from auditbus.sinks.siem.tally import Tally

__all__ = ["Standing", "State", "Trouble"]

_log = get_logger(__name__)


class State(StrEnum):
    """What a destination does just now."""

    DELIVERING = "delivering"
    """Delivers, or waits for events."""
    RETRYING = "retrying"
    """The last try failed; it goes on by itself."""
    BLOCKED = "blocked"
    """A person must act; nothing is dropped meanwhile."""
    PAUSED = "paused"
    """By `auditbus destinations pause`."""
    STOPPED = "stopped"
    """Its forwarder was stopped."""


class Trouble(msgspec.Struct, frozen=True):
    """The last failure. `at_ms` in milliseconds since 1970."""

    code: str
    reason: str
    at_ms: int


class Standing:
    """Written by the destination's thread, read by those of the health server and control."""

    def __init__(self, name: str) -> None:
        """Start in good standing."""
        self._name = name
        self._log = _log.bind(destination=name)
        self._alarm: str | None = None
        self._trouble: str | None = None
        self._is_down = False
        self._is_interrupted = False
        self.tally = Tally()
        self.positions: Mapping[int, int] = {}
        """The next offset to commit, by partition, of the partitions held just now."""
        self.last_success_ms: int | None = None
        self.last_error: Trouble | None = None
        metrics.CIRCUIT_STATE.labels(name).set(CircuitState.CLOSED)

    @property
    def trouble(self) -> str | None:
        """What is wrong, in a few words, or None."""
        return self._trouble

    @property
    def state(self) -> State:
        """What it does, as far as nobody paused or stopped it."""
        if self._alarm is not None:
            return State.BLOCKED
        return State.RETRYING if self._trouble is not None else State.DELIVERING

    def circuit_changed(self, state: CircuitState) -> None:
        """Note a change of the circuit; the log is quiet while it stays open."""
        metrics.CIRCUIT_STATE.labels(self._name).set(state)
        if state is CircuitState.CLOSED and self._is_down:
            self._is_down = False
            self._log.info("destination_recovered")
        elif state is CircuitState.OPEN and not self._is_down:
            self._is_down = True
            self._log.warning("destination_down", trouble=self._trouble)

    def failed(self, code: str, reason: str) -> None:
        """Note a failure that passes by itself."""
        metrics.SINK_RETRIES.labels(code).inc()
        self._note(code, reason)
        self._log.info("delivery_failed", code=code, reason=reason)

    def alarm(self, code: str, reason: str) -> None:
        """Note what a person must mend; sounds once, and again when the cause changes."""
        self._note(code, reason)
        if code == self._alarm:
            return
        self._silence()
        self._alarm = code
        metrics.SINK_ALARM.labels(self._name, code).set(1)
        self._log.error("destination_needs_attention", code=code, reason=reason)

    def interrupted(self, code: str, reason: str) -> None:
        """Note that nothing is read from Kafka, so nothing delivered, until it `began` again."""
        self.alarm(code, reason)
        self._is_interrupted = True
        self.positions = {}

    def began(self) -> None:
        """Note that events are read from Kafka."""
        if self._is_interrupted:
            self.reconfigured()

    def reconfigured(self) -> None:
        """Forget what was wrong: its cause may be gone. The last error stays on record."""
        self._is_interrupted = False
        self._trouble = None
        self._silence()

    def succeeded(self) -> None:
        """Note that the destination acknowledged events."""
        self._trouble = None
        self._silence()
        now_s = time.time()
        self.last_success_ms = int(now_s * 1000)
        metrics.LAST_SUCCESS.labels(self._name).set(now_s)

    def retire(self) -> None:
        """Take a destination that is no longer configured out of the metrics."""
        self._silence()
        self._trouble = None
        for gauge in (metrics.CIRCUIT_STATE, metrics.LAST_SUCCESS, metrics.OLDEST_UNACKNOWLEDGED):
            with suppress(KeyError):  # never set
                gauge.remove(self._name)

    def _note(self, code: str, reason: str) -> None:
        self._trouble = f"{code}: {reason}"
        self.last_error = Trouble(code, reason, time.time_ns() // 1_000_000)

    def _silence(self) -> None:
        if self._alarm is not None:
            metrics.SINK_ALARM.labels(self._name, self._alarm).set(0)
            self._alarm = None
