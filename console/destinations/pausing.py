"""Pause and resume a destination, through the control topic that every forwarder heeds."""

from __future__ import annotations

import time

from auditbus.console.destinations.errors import UnknownDestination
from auditbus.console.destinations.overview import Reports, read_reports
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import Settings
from auditbus.sinks.siem.control import ControlWriter, Pause, pause_key
from auditbus.sinks.siem.standing import State

__all__ = ["check_known", "set_paused"]

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
