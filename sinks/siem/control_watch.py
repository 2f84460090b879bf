"""A forwarder's ear and voice on the control topic: heeds pauses, tells how destinations stand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable

import msgspec

from auditbus.runtime.errors import AuditbusError, TopicMisconfigured
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings
from auditbus.sinks.siem.control import (
    ControlReader,
    ControlWriter,
    Pause,
    Status,
    decode,
    status_key,
)
from auditbus.sinks.siem.standing import State
from auditbus.sinks.siem.valve import Valve

__all__ = ["ControlWatch"]

_POLL_S = 0.25
_PUBLISH_EVERY_S = 2.0
# A status that did not change is told again so often: who is silent for longer is gone.
_HEARTBEAT_S = 15.0
_FORGET_AFTER_MS = 10 * 60 * 1000
_STOP_S = 0.6
_log = get_logger(__name__)


class ControlWatch:
    """Follows the topic in a daemon thread, which also publishes what `describe` returns.

    Where the topic is missing nobody can have paused anything: destinations deliver, and `trouble`
    says so. Where Kafka does not answer, `ready` is not set, and nothing is delivered either.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        instance: str,
        writer: ControlWriter,
        describe: Callable[[], Iterable[Status]],
    ) -> None:
        """Prepare; `start` begins."""
        self.ready = threading.Event()
        self.trouble: str | None = None
        self._kafka = kafka
        self._instance = instance
        self._writer = writer
        self._describe = describe
        self._valves: dict[str, Valve] = {}
        self._told: dict[str, tuple[float, Status]] = {}
        self._others: dict[str, Status] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Publish everything once more and end, in less than a second."""
        self._stop.set()
        self._thread.join(_STOP_S)
        if self._is_heard:
            self._publish(time.monotonic(), at_all_events=True)
            self._writer.flush(_STOP_S)

    def valve(self, destination: str) -> Valve:
        """Return the destination's valve, always the same one."""
        with self._lock:
            return self._valves.setdefault(destination, Valve())

    def forget(self, destination: str) -> None:
        """Take back the status of a destination that is no longer configured."""
        key = status_key(destination, self._instance)
        self._told.pop(key, None)
        if self._is_heard:
            self._writer.put(key, None)

    @property
    def _is_heard(self) -> bool:
        """Whether the topic is there: writing would make another, by the broker's defaults."""
        return self.ready.is_set() and self.trouble is None

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except TopicMisconfigured as error:
                self._fail(error)
                self.ready.set()
            except AuditbusError as error:
                self._fail(error)
            except Exception as error:  # noqa: BLE001  # destinations go on, and a pause must work
                self._fail(error)
                _log.exception("control_crashed")
            self._stop.wait(1.0)

    def _fail(self, error: Exception) -> None:
        trouble = f"control: {error}"
        if trouble != self.trouble:
            _log.warning("control_unread", reason=str(error))
        self.trouble = trouble

    def _follow(self) -> None:
        reader = ControlReader(self._kafka)
        next_publish = 0.0
        try:
            while not self._stop.is_set():
                for key, value in reader.poll(_POLL_S):
                    self._heed(key, value)
                if not reader.is_at_end:
                    continue
                self.trouble = None
                self.ready.set()
                if (now := time.monotonic()) >= next_publish:
                    next_publish = now + _PUBLISH_EVERY_S
                    self._publish(now)
        finally:
            reader.close()

    def _heed(self, key: str, value: bytes | None) -> None:
        what, _, rest = key.partition("/")
        if what == "pause":
            self._turn(rest, decode(Pause, value) if value else None)
        elif what == "status" and not key.endswith(f"/{self._instance}"):
            status = decode(Status, value) if value else None
            if status is None:
                self._others.pop(key, None)
            else:
                self._others[key] = status

    def _turn(self, destination: str, pause: Pause | None) -> None:
        valve = self.valve(destination)
        if pause is not None and pause.paused:
            if not valve.is_closed:
                _log.info("destination_paused", destination=destination)
            valve.close()
        elif valve.is_closed or self.ready.is_set():
            _log.info("destination_resumed", destination=destination)
            valve.open()

    def _publish(self, now: float, *, at_all_events: bool = False) -> None:
        statuses = list(self._describe())
        for status in statuses:
            key = status_key(status.destination, self._instance)
            told_at, told = self._told.get(key, (0.0, None))
            is_news = told is None or msgspec.structs.replace(status, at_ms=told.at_ms) != told
            if is_news or at_all_events or now - told_at >= _HEARTBEAT_S:
                self._told[key] = (now, status)
                self._writer.put(key, status)
        self._forget_the_gone({status.destination for status in statuses})

    def _forget_the_gone(self, ours: set[str]) -> None:
        """Take back what processes left behind that are gone, where this one has their work."""
        now_ms = time.time_ns() // 1_000_000
        for key, status in list(self._others.items()):
            is_gone = status.state is State.STOPPED or now_ms - status.at_ms > _FORGET_AFTER_MS
            if is_gone and status.destination in ours:
                self._others.pop(key, None)
                self._writer.put(key, None)
