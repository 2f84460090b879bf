"""Every destination of one forwarder process: started, replaced, removed, described."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_watch import topic_id_of
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.configuration import Configured
from auditbus.sinks.siem.control import ControlWriter, Status
from auditbus.sinks.siem.control_watch import ControlWatch
from auditbus.sinks.siem.delivery import Delivery
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.runner import Runner
from auditbus.sinks.siem.secrets import cut_secrets, secret_values
from auditbus.sinks.siem.standing import Standing, State, Trouble

__all__ = ["Fleet"]

_log = get_logger(__name__)
# A dead letter that is not written by then has failed for good, and its event is tried again;
# shorter than the sender's flush, so that a flush ends with certainty.
_DEAD_LETTER_TIMEOUT_MS = 10_000


class Fleet:
    """Destinations that share nothing but the process and its producer.

    For one thread; `describe` and `troubles` may be called from any.
    """

    def __init__(self, kafka: KafkaSettings, instance: str, budget: Budget) -> None:
        """Prepare; nothing is delivered before `apply`. All together hold no more than `budget`."""
        self._kafka = kafka
        self._instance = instance
        self._budget = budget
        self._since_ms = time.time_ns() // 1_000_000
        self._read_topic_id = partial(topic_id_of, new_admin(kafka))
        self._producer = new_producer(kafka, {"message.timeout.ms": _DEAD_LETTER_TIMEOUT_MS})
        self._wanted: dict[str, Configured] = {}
        self._runners: dict[str, Runner] = {}
        self._leaving: dict[str, Runner] = {}
        self._standings: dict[str, Standing] = {}
        self._is_stopped = False
        writer = ControlWriter(self._producer, kafka.topics.forwarder_control)
        self._control = ControlWatch(kafka, instance, writer, self.describe)

    def apply(self, wanted: Sequence[Configured]) -> None:
        """Add, remove or restart what differs from what runs; the others are not touched."""
        new = {item.destination.name: item for item in wanted}
        self._budget.divide(len(new))
        for name in self._wanted.keys() - new.keys():
            _log.info("destination_removed", destination=name)
            self._leaving[name] = self._runners.pop(name)
            self._leaving[name].stop()
        for name, item in new.items():
            before = self._wanted.get(name)
            if before == item:
                continue
            former = self._runners.get(name) or self._leaving.pop(name, None)
            if before is not None:
                _log.info("destination_reconfigured", destination=name)
            if former is not None:
                former.stop()
            self._standings.setdefault(name, Standing(name))
            self._runners[name] = self._run(item.destination, former)
        self._wanted = new

    def start(self) -> None:
        """Begin to heed the control topic, and to tell it how destinations stand."""
        self._control.start()

    def tidy(self) -> None:
        """Forget removed destinations that have ended."""
        for name in [name for name, runner in self._leaving.items() if not runner.is_alive]:
            del self._leaving[name]
            self._standings.pop(name).retire()
            self._control.forget(name)

    def stop(self, timeout_s: float) -> None:
        """Stop every destination, wait for `timeout_s` seconds at most, tell the control topic."""
        runners = {**self._leaving, **self._runners}
        for runner in runners.values():
            runner.stop()
        deadline = time.monotonic() + timeout_s
        for runner in runners.values():
            runner.join(max(deadline - time.monotonic(), 0))
        if late := [name for name, runner in runners.items() if runner.is_alive]:
            _log.warning("stopped_without_draining", destinations=late)
        self.tidy()
        self._is_stopped = True
        self._control.stop()

    def troubles(self) -> Iterator[str]:
        """Yield what is wrong, a line each."""
        for name, standing in list(self._standings.items()):
            if standing.trouble:
                yield f"{name}: {standing.trouble}"
        if self._control.trouble:
            yield self._control.trouble

    def describe(self) -> Iterator[Status]:
        """Yield how each destination stands; no secret is in it."""
        for name, item in list(self._wanted.items()):
            if (standing := self._standings.get(name)) is not None:
                yield self._status(item.destination, standing)

    def _run(self, destination: Destination, former: Runner | None) -> Runner:
        return Runner(
            destination,
            self._new_delivery,
            self._standings[destination.name],
            ready=self._control.ready,
            after=former,
        )

    def _new_delivery(self, destination: Destination, standing: Standing) -> Delivery:
        topic = self._kafka.topics.forwarder_dead_letters
        return Delivery(
            destination,
            self._kafka,
            DeadLetterWriter(self._producer, topic),
            standing,
            self._read_topic_id,
            self._control.valve(destination.name),
            self._budget,
        )

    def _status(self, destination: Destination, standing: Standing) -> Status:
        secrets = secret_values(destination.settings)
        trouble, error = standing.trouble, standing.last_error
        return Status(
            destination=destination.name,
            instance=self._instance,
            kind=destination.settings.type,
            topic=destination.settings.topic,
            state=self._state(destination.name, standing),
            trouble=None if trouble is None else cut_secrets(trouble, secrets),
            since_ms=self._since_ms,
            at_ms=time.time_ns() // 1_000_000,
            last_success_ms=standing.last_success_ms,
            last_error=error
            and Trouble(error.code, cut_secrets(error.reason, secrets), error.at_ms),
            counts=standing.tally.counts,
            positions=dict(standing.positions),
        )

    def _state(self, name: str, standing: Standing) -> State:
        if self._is_stopped:
            return State.STOPPED
        if self._control.valve(name).is_closed:
            return State.PAUSED
        return standing.state
