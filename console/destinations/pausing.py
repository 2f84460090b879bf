"""Pause and resume a destination, through the control topic that every forwarder heeds."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

from auditbus.console.destinations.errors import DestinationPaused, UnknownDestination
from auditbus.console.destinations.overview import Reports, read_reports
from auditbus.runtime.errors import AuditbusError
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import KafkaSettings, Settings
from auditbus.sinks.siem.control import ControlReader, ControlWriter, Pause, decode, pause_key
from auditbus.sinks.siem.standing import State

__all__ = ["PauseWatch", "check_known", "check_open", "set_paused"]

_WAIT_S = 10.0
_LOOK_S = 0.5


def set_paused(settings: Settings, destination: str, *, paused: bool) -> int:
    """Pause or resume, and wait until the forwarders that run say so; return how many did.

    None may run: one that starts later heeds it as well. Raises UnknownDestination,
    KafkaUnreachable, TopicMisconfigured, DeliveryFailed; a forwarder that does not answer within
    ten seconds is not counted.
    """
    check_known(settings, destination)
    now_ms = time.time_ns() // 1_000_000
    writer = ControlWriter(new_producer(settings.kafka), settings.kafka.topics.forwarder_control)
    writer.put_now(pause_key(destination), Pause(paused=paused, at_ms=now_ms))
    deadline = time.monotonic() + _WAIT_S
    while True:
        live = read_reports(settings.kafka).get(destination, Reports()).live(now_ms)
        heeded = [
            status
            for status in live
            if status.at_ms > now_ms and (status.state is State.PAUSED) == paused
        ]
        if len(heeded) == len(live) or time.monotonic() > deadline:
            return len(heeded)
        time.sleep(_LOOK_S)


def check_known(settings: Settings, destination: str) -> None:
    """Raise UnknownDestination for a name that nobody knows: it may be misspelt."""
    known = set(settings.forwarder.destinations) | set(read_reports(settings.kafka))
    if destination not in known:
        raise UnknownDestination(
            f"no destination {destination}; known are: {', '.join(sorted(known)) or 'none'}"
        )


def check_open(records: Mapping[str, bytes], destination: str) -> None:
    """Raise DestinationPaused where the control topic's `records` say so."""
    if _is_paused(records.get(pause_key(destination))):
        raise DestinationPaused(
            f"{destination} is paused; first: auditbus destinations resume {destination}"
        )


class PauseWatch:
    """Sets `stop` when somebody pauses a destination: a replay must not go on sending to it."""

    def __init__(self, kafka: KafkaSettings, destination: str, stop: threading.Event) -> None:
        """Begin, in a thread. Raises KafkaUnreachable, TopicMisconfigured."""
        self._destination = destination
        self._stop = stop
        self._found: dict[str, bytes] = {}
        self._end = threading.Event()
        self._reader = ControlReader(kafka)
        self._thread = threading.Thread(target=self._follow, name="pause", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raise DestinationPaused if it was paused."""
        check_open(self._found, self._destination)

    def close(self) -> None:
        """End; in less than a second."""
        self._end.set()
        self._thread.join()

    def _follow(self) -> None:
        try:
            while not self._end.is_set():
                for key, value in self._reader.poll(_LOOK_S):
                    if key == pause_key(self._destination):
                        self._found[key] = value or b""
                # Before the end, what is read may have been taken back long ago.
                if self._reader.is_at_end and not self._is_open():
                    self._stop.set()
                    return  # once is enough: what was stopped stays so
        except AuditbusError:
            pass  # then who replays finds Kafka gone as well, at the next note of how far it is
        finally:
            self._reader.close()

    def _is_open(self) -> bool:
        return not _is_paused(self._found.get(pause_key(self._destination)))


def _is_paused(value: bytes | None) -> bool:
    pause = decode(Pause, value) if value is not None else None
    return pause is not None and pause.paused
