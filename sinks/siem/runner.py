"""One destination at work: a thread that delivers, and begins again after what should not happen.

A destination whose settings changed gets another runner, which waits until the one before it has
committed and left the consumer group: nothing is delivered by both, and no place is lost.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException

from auditbus.runtime.errors import AuditbusError, OffsetLost
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.delivery import Delivery
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.standing import Standing

__all__ = ["Runner"]

_log = get_logger(__name__)
_LOOK_S = 0.2
# Far longer than a delivery takes to end; events twice are better than none for ever.
_FORMER_S = 60.0
_RETRY_S, _RETRY_MOST_S = 1.0, 60.0
# Who has delivered for so long is well: what ends it next is another trouble.
_WELL_S = 60.0


class Runner:
    """Runs deliveries until stopped. `destination` is what it delivers to."""

    def __init__(
        self,
        destination: Destination,
        new_delivery: Callable[[Destination, Standing], Delivery],
        standing: Standing,
        *,
        ready: threading.Event,
        after: Runner | None = None,
    ) -> None:
        """Start: once `ready` is set, and `after`, which must have been stopped, has ended."""
        self.destination = destination
        self._new_delivery = new_delivery
        self._standing = standing
        self._ready = ready
        self._after = after
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=destination.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask it to drain, commit and end; returns at once."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self._thread.is_alive()

    def _run(self) -> None:
        if self._after is not None:
            self._after.join(_FORMER_S)
            self._after = None
            self._standing.reconfigured()
        while not self._ready.wait(_LOOK_S):
            if self._stop.is_set():
                return
        backoff = Backoff(_RETRY_S, _RETRY_MOST_S)
        while not self._stop.is_set():
            began = time.monotonic()
            self._deliver()
            if time.monotonic() - began > _WELL_S:
                backoff.reset()
            self._stop.wait(backoff.next_delay_s())

    def _deliver(self) -> None:
        """Deliver until stopped, or until something ends it.

        Lost offsets are such a case, too: beginning again finds the same and delivers nothing,
        until a person has set the group's offsets.
        """
        try:
            self._new_delivery(self.destination, self._standing).run(self._stop)
        except OffsetLost as error:
            self._standing.interrupted("offset_lost", str(error))
        except AuditbusError as error:
            self._standing.interrupted("kafka", str(error))
        except:  # noqa: E722  # whatever it is: the thread must live, and somebody hear of it
            self._crashed(sys.exc_info()[1])

    def _crashed(self, error: object) -> None:
        """Note a bug. Only Kafka's own words are shown: others may quote an event."""
        is_kafka = isinstance(error, KafkaException | KafkaError)
        words = str(error) if is_kafka else "the forwarder's log says where"
        self._standing.interrupted("crashed", f"{type(error).__name__}: {words}")
        # The client's own faults may be no exceptions at all: see `Partitions`.
        shown = error if isinstance(error, BaseException) else None
        _log.error("delivery_crashed", destination=self.destination.name, exc_info=shown)
