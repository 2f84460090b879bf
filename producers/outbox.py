"""The events of one process on their way to Kafka: the queue, its lock, its thread."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from confluent_kafka import KafkaException, Producer

from auditbus.producers.delivery import Delivery, DeliveryLedger
from auditbus.producers.lifetime import keep_for_ever
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.sequence import Stamp
from auditbus.runtime.errors import DeliveryFailed, ProducerClosed, QueueFull

__all__ = ["Outbox"]

_log = logging.getLogger("auditbus.producers")
_POLL_S = 0.1
_TICK_S = 0.05
_FLUSH_SLICE_S = 0.1
_PURGE_TIMEOUT_S = 5.0
_RETIRE_TIMEOUT_S = 5.0
_FORGET_AT_ONCE = 1000
_MAX_REMEMBERED = 200_000


class Outbox:
    """Takes events into librdkafka's queue, in order, and tells what became of them.

    `take` may be called by any thread, and by a signal handler in the midst of another `take`.
    A daemon thread serves the delivery reports.
    """

    def __init__(
        self, connect: Callable[[], Producer], topic: str, stamp: Stamp, ledger: DeliveryLedger
    ) -> None:
        """`connect` makes a librdkafka producer; `start` begins."""
        self.stamp = stamp
        self.ledger = ledger
        self.accepted = 0
        self._connect = connect
        self._topic = topic
        self._link = connect()
        self._seq = 0
        self._memory: deque[Delivery] = deque()  # what is not answered, oldest first; some more
        self._lock = threading.RLock()
        self._taking = False
        self._deferred: list[tuple[Delivery, bytes, bool]] = []
        self._closed = False
        self._stop = threading.Event()
        self._retired = False
        self._logged_failures = 0
        self._thread = threading.Thread(target=self._run, name="auditbus-producer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    # --- taking

    def take(
        self, raw: bytes, key: bytes, event_id: str, *, stamped: bool, may_spool: bool
    ) -> Delivery:
        """Queue one encoded event; `stamped` where it has a `producer` of its own.

        Raises ProducerClosed, QueueFull (nothing was taken) and DeliveryFailed.
        """
        delivery = Delivery(event_id, self.ledger, None, key, time.monotonic(), may_spool)
        with self._lock:  # close() must not slip in between the check and the queue
            if self._closed:
                raise ProducerClosed("the producer is closed")
            if self._taking:  # a signal handler in the midst of this thread's own call
                self._deferred.append((delivery, raw, stamped))
                return delivery
            self._taking = True
            try:
                self._number(delivery, raw, stamped)
            finally:
                self._taking = False
                if self._deferred:
                    self._take_deferred()
        return delivery

    def _number(self, delivery: Delivery, raw: bytes, stamped: bool) -> None:
        if stamped:
            self._admit(delivery, raw)
        else:
            seq = self._seq + 1
            self._admit(delivery, self.stamp.splice(raw, seq))
            self._seq = seq  # an event that was not admitted has used no number
        self.accepted += 1

    def _take_deferred(self) -> None:
        while self._deferred:
            delivery, raw, stamped = self._deferred.pop(0)
            try:
                self._number(delivery, raw, stamped)
            except (QueueFull, DeliveryFailed) as error:
                delivery.fail(DeliveryFailed(str(error), topic=self._topic, may_retry=True))

    def _admit(self, delivery: Delivery, value: bytes) -> None:
        """Take one numbered event, or raise; the lock is held."""
        try:
            self._link.produce(self._topic, value, delivery._key, on_delivery=delivery)
        except BufferError:
            waiting = self.accepted - self.ledger.acknowledged - self.ledger.failed
            raise QueueFull(f"the queue is full: {waiting:,} events wait for Kafka") from None
        except KafkaException as error:
            raise DeliveryFailed(
                f"event {delivery.id}: {error.args[0].str()}", topic=self._topic
            ) from error
        self._memory.append(delivery)

    # --- waiting

    def wait_live(self, _timeout_s: float) -> bool:
        """Block until events go straight to Kafka's queue; False where that took too long."""
        return True

    def recall(self, delivery: Delivery) -> None:
        """Let an event that its caller has given up reach Kafka no more, where that can be had."""
        delivery.give_up()

    def secure(self) -> None:
        """Force what was spooled to the disk."""

    def flush(self, timeout_s: float) -> None:
        """Block until no event waits in memory, at most `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline - time.monotonic())
            self._link.flush(min(_FLUSH_SLICE_S, left_s))
            if not left_s or self._settled():
                self._forget_answered()
                return
            if not len(self._link):
                self._stop.wait(min(0.005, left_s))  # the thread has something to do

    def _settled(self) -> bool:
        return not self.waiting()

    def waiting(self) -> int:
        """How many events are in memory, neither answered nor spooled."""
        # A copy in C, between two bytecodes: the queue itself changes while it is walked.
        return sum(not delivery.done for delivery in tuple(self._memory))

    def tell_failures(self, fate: str) -> None:
        """Raise DeliveryFailed for failures that nobody has heard of, and for what waits."""
        waiting = self.waiting()
        failed = self.ledger.take_unseen()
        parts = []
        if failed:
            parts.append(f"{failed} failed, the last: {self.ledger.last_failure}")
        if waiting:
            parts.append(f"{waiting} {fate}")
        if parts:
            raise DeliveryFailed(
                f"{failed + waiting} events were not acknowledged: {'; '.join(parts)}",
                topic=self._topic,
                may_retry=bool(waiting),
                count=failed + waiting,
            )

    def metrics(self) -> ProducerMetrics:
        """Return the counts of now; cheap, takes no lock."""
        memory = [delivery for delivery in tuple(self._memory) if not delivery.done]
        since_s = memory[0]._since_s if memory else None
        return ProducerMetrics(
            accepted=self.accepted,
            acknowledged=self.ledger.acknowledged,
            failed=self.ledger.failed,
            dropped=self.ledger.dropped,
            waiting_events=len(memory),
            spooled_events=0,
            spooled_bytes=0,
            oldest_waiting_s=0.0 if since_s is None else time.monotonic() - since_s,
        )

    # --- ending

    def close(self, timeout_s: float) -> None:
        """Flush, end every handle, stop the thread. Raises DeliveryFailed; once only."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.flush(timeout_s)
        self._give_up()
        self._stop.set()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        self._finish()
        self.tell_failures("given up")

    def _give_up(self) -> None:
        """Deal with what is still in memory."""
        if self.waiting():
            self._link.purge()
            self._link.flush(_PURGE_TIMEOUT_S)  # reports the purged ones to their handles

    def _finish(self) -> None:
        """Let go of what this outbox held; the thread has ended."""

    def retire(self) -> None:
        """Let the thread close this outbox: nobody holds its producer any more."""
        self._retired = True
        self._stop.set()

    def forsake(self) -> None:
        """Give up, in a forked process, what belongs to its parent."""
        keep_for_ever(self._link)

    # --- the thread

    def _run(self) -> None:
        next_tick_s = 0.0
        while not self._stop.is_set():
            self._link.poll(_POLL_S)
            if time.monotonic() >= next_tick_s:
                try:
                    self._tick()
                except Exception:  # noqa: BLE001 -- the reports must go on
                    _log.exception("the producer's thread")
                next_tick_s = time.monotonic() + _TICK_S
        if self._retired:
            try:
                self.close(_RETIRE_TIMEOUT_S)
            except DeliveryFailed as lost:
                _log.error("a producer was dropped without close(): %s", lost)

    def _tick(self) -> None:
        self._forget_answered()
        # Once a burst, never the events.
        if failed := self.ledger.failed - self._logged_failures:
            self._logged_failures += failed
            _log.error(
                "%d audit events not delivered, the last: %s", failed, self.ledger.last_failure
            )

    def _forget_answered(self) -> None:
        """Let go of the handles that are done, a few at a time: `emit` wants the lock too."""
        while self._forget_some():
            pass
        if len(self._memory) > _MAX_REMEMBERED:  # one partition stands still, the others go on
            with self._lock:
                kept = [delivery for delivery in self._memory if not delivery.done]
                self._memory.clear()
                self._memory.extend(kept)

    def _forget_some(self) -> bool:
        memory = self._memory
        with self._lock:
            for _ in range(_FORGET_AT_ONCE):
                if not memory or not memory[0]._state:  # pending; `done` would be a call for each
                    return False
                memory.popleft()
        return True
