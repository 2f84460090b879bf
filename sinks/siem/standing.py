"""How a destination stands: what /readyz, the metrics and the log say of it."""

from __future__ import annotations

import time

from auditbus.runtime import metrics
from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.circuit import CircuitState

__all__ = ["Standing"]

_log = get_logger(__name__)


class Standing:
    """Written by the destination's thread, read by the health server's."""

    def __init__(self, name: str) -> None:
        """Start in good standing."""
        self._name = name
        self._log = _log.bind(destination=name)
        self._alarm: str | None = None
        self._trouble: str | None = None
        self._is_down = False
        self._is_interrupted = False
        metrics.CIRCUIT_STATE.labels(name).set(CircuitState.CLOSED)

    @property
    def trouble(self) -> str | None:
        """What is wrong, in a few words, or None."""
        return self._trouble

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
        self._trouble = f"{code}: {reason}"
        self._log.info("delivery_failed", code=code, reason=reason)

    def alarm(self, code: str, reason: str) -> None:
        """Note what a person must mend; sounds once, and again when the cause changes."""
        self._trouble = f"{code}: {reason}"
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

    def began(self) -> None:
        """Note that events are read from Kafka."""
        if self._is_interrupted:
            self._is_interrupted = False
            self._trouble = None
            self._silence()

    def succeeded(self) -> None:
        """Note that the destination acknowledged events."""
        self._trouble = None
        self._silence()
        metrics.LAST_SUCCESS.labels(self._name).set(time.time())

    def _silence(self) -> None:
        if self._alarm is not None:
            metrics.SINK_ALARM.labels(self._name, self._alarm).set(0)
            self._alarm = None
