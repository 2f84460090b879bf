"""The forwarder's process: every destination in a thread of its own, one health port for all."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from auditbus.runtime.health import HealthServer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.runtime.shutdown import notice_hangups, stop_on_signals
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.configuration import SettingsWatch, configured
from auditbus.sinks.siem.fleet import Fleet

__all__ = ["run"]

_log = get_logger(__name__)
_STOP_S = 4.0
_LOOK_S = 0.2
_MB = 1024 * 1024


def run(
    settings: Settings,
    stop: threading.Event | None = None,
    *,
    reload: Callable[[], Settings] | None = None,
) -> None:
    """Forward events to every configured destination until `stop` is set; returns within 5 s.

    Without `stop`, SIGTERM and SIGINT end it; call from the main thread then. With `reload`, which
    reads the settings anew, changed destinations are taken up while it runs: within seconds, and
    on SIGHUP at once.

    Destinations share nothing but the process and its producer: one that is down, or whose events
    are gone from Kafka, stops alone. Secrets come from the environment and from files.

    Raises SettingsError, before anything is opened, for a wrong destination or a taken health port.
    """
    stop = stop or stop_on_signals()
    hangup = notice_hangups() if reload is not None else threading.Event()
    wanted = configured(settings)
    forwarder = settings.forwarder
    watch = None if reload is None else SettingsWatch(reload, wanted)
    fleets: list[Fleet] = []

    def describe() -> str | None:
        lines = [line for fleet in fleets for line in fleet.troubles()]
        lines += [watch.trouble] if watch is not None and watch.trouble else []
        return "\n".join(lines) or None

    with HealthServer(forwarder.health_host, forwarder.health_port, ready=describe) as health:
        if not wanted:
            _log.info("no_destinations", setting="forwarder.destinations")
        budget = Budget(forwarder.buffer_mb * _MB)
        fleet = Fleet(settings.kafka, f"{socket.gethostname()}:{health.port}", budget)
        fleets.append(fleet)
        fleet.apply(wanted)
        fleet.start()
        try:
            while not stop.wait(_LOOK_S):
                fleet.tidy()
                if watch is not None and (found := watch.look(now=_take(hangup))) is not None:
                    fleet.apply(found)
        finally:
            fleet.stop(_STOP_S)


def _take(event: threading.Event) -> bool:
    is_set = event.is_set()
    event.clear()
    return is_set
