"""Publishes events at an even rate, through outages of Kafka, until told to stop."""

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from auditbus.producers import AuditProducer, Delivery, DeliveryFailed, EventFields, QueueFull
from auditbus.runtime.logging import get_logger

_log = get_logger(__name__)

_CATCH_UP_S = 1.0
"""What was missed in a longer delay (a full queue, a suspended laptop) is not made up for."""
_QUEUE_FULL_WAIT_S = 0.2


@dataclass(slots=True)
class Counts:
    """What became of the events: emitted = acknowledged + failed + still on their way."""

    emitted: int = 0
    acknowledged: int = 0
    failed: int = 0


class Publisher:
    """Emits one event after the other, `rate` a second, evenly."""

    def __init__(
        self,
        producer: AuditProducer,
        events: Iterator[EventFields],
        rate: float,
        *,
        report_interval_s: float = 30.0,
    ) -> None:
        """`rate` is in events per second; counts are logged every `report_interval_s` seconds."""
        self.counts = Counts()
        self._lock = threading.Lock()
        self._producer = producer
        self._events = events
        self._interval_s = 1 / rate
        self._report_interval_s = report_interval_s

    def run(self, stop: threading.Event) -> None:
        """Publish until `stop` is set; wait out a full queue (Kafka is away), event in hand."""
        due = time.monotonic()
        report_due = due + self._report_interval_s
        for event in self._events:
            if stop.wait(max(0.0, due - time.monotonic())) or not self._emit(event, stop):
                return
            now = time.monotonic()
            due = max(due + self._interval_s, now - _CATCH_UP_S)
            if now >= report_due:
                report_due = now + self._report_interval_s
                _log.info("demo_progress", **asdict(self.counts))

    def close(self, timeout_s: float) -> bool:
        """Wait at most `timeout_s` seconds for Kafka; True if it acknowledged every event."""
        try:
            self._producer.close(timeout_s)
        except DeliveryFailed as error:
            _log.error("demo_events_lost", reason=str(error))
        _log.info("demo_stopped", **asdict(self.counts))
        return self.counts.acknowledged == self.counts.emitted

    def _emit(self, event: EventFields, stop: threading.Event) -> bool:
        """Emit one event; False where `stop` came first."""
        while True:
            try:
                delivery = self._producer.emit(**event)
            except QueueFull:
                if stop.wait(_QUEUE_FULL_WAIT_S):
                    return False
            else:
                self.counts.emitted += 1
                delivery.add_done_callback(self._count)
                return True

    def _count(self, delivery: Delivery) -> None:
        failed = delivery.exception is not None
        with self._lock:  # reports come in the producer's thread and, on closing, in the caller's
            self.counts.failed += failed
            self.counts.acknowledged += not failed
