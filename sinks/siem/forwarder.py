"""The forwarder's process: every destination in a thread of its own, one health port for all."""

from __future__ import annotations

import os
import threading
import time
from functools import partial

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.errors import AuditbusError, OffsetLost
from auditbus.runtime.health import HealthServer
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff
from auditbus.runtime.settings import Settings
from auditbus.runtime.shutdown import stop_on_signals
from auditbus.runtime.topic_watch import topic_id_of
from auditbus.sinks.siem.delivery import Delivery
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.registry import load_destinations
from auditbus.sinks.siem.standing import Standing

__all__ = ["run"]

_log = get_logger(__name__)
_STOP_S = 4.8
# A dead letter that is not written by then has failed for good, and its event is tried again;
# shorter than the sender's flush, so that a flush ends with certainty.
_DEAD_LETTER_TIMEOUT_MS = 10_000


def run(settings: Settings, stop: threading.Event | None = None) -> None:
    """Forward events to every configured destination until `stop` is set; returns within 5 s.

    Without `stop`, SIGTERM and SIGINT end it; call from the main thread then.

    Destinations share nothing but the process and the dead letter producer: one that is down, or
    whose events are gone from Kafka, stops alone. Secrets come from the environment and from files.

    Raises SettingsError, before anything is opened, for a wrong destination or a taken health port.
    """
    stop = stop or stop_on_signals()
    destinations = load_destinations(settings.forwarder.destinations, os.environ)
    standings = {destination.name: Standing(destination.name) for destination in destinations}
    ready = partial(_describe, standings)
    forwarder = settings.forwarder
    with HealthServer(forwarder.health_host, forwarder.health_port, ready=ready):
        if not destinations:
            _log.info("no_destinations", setting="forwarder.destinations")
        threads = _start(settings, destinations, standings, stop)
        stop.wait()
        deadline = time.monotonic() + _STOP_S
        for thread in threads:
            thread.join(max(deadline - time.monotonic(), 0))
        if late := [thread.name for thread in threads if thread.is_alive()]:
            _log.warning("stopped_without_draining", destinations=late)


def _start(
    settings: Settings,
    destinations: list[Destination],
    standings: dict[str, Standing],
    stop: threading.Event,
) -> list[threading.Thread]:
    read_topic_id = partial(topic_id_of, new_admin(settings.kafka))
    producer = new_producer(settings.kafka, {"message.timeout.ms": _DEAD_LETTER_TIMEOUT_MS})
    topic = settings.kafka.topics.forwarder_dead_letters
    threads = []
    for destination in destinations:
        delivery = partial(
            Delivery,
            destination,
            settings.kafka,
            DeadLetterWriter(producer, topic),
            standings[destination.name],
            read_topic_id,
        )
        threads.append(
            threading.Thread(
                target=_keep_delivering,
                args=(delivery, standings[destination.name], stop),
                name=destination.name,
                daemon=True,
            )
        )
        threads[-1].start()
    return threads


def _keep_delivering(
    delivery: partial[Delivery], standing: Standing, stop: threading.Event
) -> None:
    """Deliver until `stop`; begin again, from the last commit, after what should not happen.

    Lost offsets are such a case, too: beginning again finds the same and delivers nothing, until
    a person has set the group's offsets.
    """
    backoff = Backoff(1.0, 60.0)
    while not stop.is_set():
        try:
            delivery().run(stop)
        except OffsetLost as error:
            standing.interrupted("offset_lost", str(error))
        except AuditbusError as error:
            standing.interrupted("kafka", str(error))
        except Exception as error:  # noqa: BLE001  # the others go on
            standing.interrupted("crashed", f"{type(error).__name__}: {error}")
            _log.exception("delivery_crashed", destination=threading.current_thread().name)
        stop.wait(backoff.next_delay_s())


def _describe(standings: dict[str, Standing]) -> str | None:
    lines = [f"{name}: {s.trouble}" for name, s in standings.items() if s.trouble]
    return "\n".join(lines) or None
