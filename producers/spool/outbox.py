"""The outbox of a producer with a spool: one state machine, two states.

```text
         ┌─────────────────────────────── LIVE ──────────────────────────────────┐
         │ emit ─▶ memory + librdkafka's queue ─▶ Kafka                          │
         └───────────────────────────────────────────────────────────────────────┘
   the oldest is unanswered for after_s,     ▲   everything spooled has been handed to
   the queue is full, or Kafka refuses       │   librdkafka, and Kafka acknowledges
                    ▼                        │
         ┌────────────────────────────── BEHIND ─────────────────────────────────┐
         │ emit ─▶ spool          behind whatever waits already                  │
         │ memory ─▶ spool        first: a copy of what librdkafka has unanswered│
         │ spool ─▶ librdkafka's queue ─▶ Kafka       the drain, in order        │
         └───────────────────────────────────────────────────────────────────────┘
```

Why order per account holds: at any time the events stand in one line, `what librdkafka was handed`
then `spool not yet handed over` then `memory not yet copied`, and each step moves the head of one
part to the tail of the part before it. librdkafka keeps the order of each partition (idempotence),
and with a spool it never gives an event up by itself (`message.timeout.ms` 0): Kafka's absence only
makes it wait. What it was handed also lies in the spool until Kafka has acknowledged it, so a kill
costs nothing; the next process sends it again under the same id, which is the deduplication key.

When a handle of librdkafka breaks (a fatal error, a refusal, an event recalled by a fail-closed
caller), it is purged, a new one is made, and the drain begins again at the oldest spooled event:
some events come twice, none is lost, and each first copy keeps its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import groupby, islice

from confluent_kafka import KafkaException, Producer

from auditbus.producers.delivery import Delivery, DeliveryLedger
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.outbox import Outbox
from auditbus.producers.sequence import Stamp
from auditbus.producers.spool.drain import Drain
from auditbus.producers.spool.options import Spool
from auditbus.producers.spool.pulse import Pulse
from auditbus.producers.spool.segment import frame
from auditbus.producers.spool.store import SpoolStore
from auditbus.runtime.errors import DeliveryFailed, SpoolFull

__all__ = ["SpoolingOutbox"]

_log = logging.getLogger("auditbus.producers")
_COPY_AT_ONCE = 500  # events, under the lock: a few milliseconds of emit
_HELP_AT_ONCE = 20
_BREATH_S = 0.0005  # between them: a lock that is taken again at once starves those who wait
_MAX_UNCOPIED = 200_000  # events in memory, while the spool's disk is full or slow
_ADOPT_EVERY_S = 10.0
_PURGE_TIMEOUT_S = 5.0


class SpoolingOutbox(Outbox):
    """An outbox that keeps on disk what Kafka can't take now."""

    def __init__(
        self,
        connect: Callable[[], Producer],
        topic: str,
        stamp: Stamp,
        options: Spool,
    ) -> None:
        """Make a lane in the spool's directory, and claim those of dead processes."""
        ledger = DeliveryLedger(has_spool=True)
        super().__init__(
            connect, topic, stamp, ledger
        )  # refuses wrong options before a lane is made
        self._options = options
        self._store = SpoolStore(options, topic, stamp.slug, ledger)
        self._drain = Drain(self._store, ledger)
        self._pulse = Pulse()
        self._live = threading.Event()
        self._synced_at_s = self._adopted_at_s = time.monotonic()
        self._full = False
        self._logged_dropped = 0
        if not self._store.claim():  # else its events come first: behind them
            self._live.set()

    # --- taking

    def _admit(self, delivery: Delivery, value: bytes) -> None:
        delivery._value = value  # until it is answered, it may have to be copied
        if self._live.is_set():
            try:
                self._link.produce(self._topic, value, delivery._key, on_delivery=delivery)
            except BufferError:
                self._fall_behind("librdkafka's queue is full")
            except KafkaException as error:
                self.ledger.link_failed = True
                self._fall_behind(error.args[0].str())
            else:
                self._memory.append(delivery)
                return
        if not delivery._may_spool:
            raise DeliveryFailed(
                f"event {delivery.id}: Kafka can't take it now, and it must not be spooled",
                topic=self._topic,
                may_retry=True,
            )
        delivery._handed_over = False
        if not self._memory:
            self._append(value, delivery)
        else:  # older ones are still to be copied: behind them
            if len(self._memory) >= _MAX_UNCOPIED:
                raise SpoolFull(f"{len(self._memory):,} events wait for room in the spool")
            self._memory.append(delivery)
            if not self._full:  # help, or a busy caller would outrun the thread that copies
                with suppress(SpoolFull):  # the thread will find out, and say so
                    self._copy_some(_HELP_AT_ONCE)

    def _append(self, value: bytes, delivery: Delivery) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._store.append(frame(value, delivery._key, now_ms), 1, now_ms)
        delivery.spool(None)

    def _fall_behind(self, reason: str) -> None:
        with self._lock:
            if self._live.is_set():
                self._live.clear()
                self._pulse.fell_behind()
                _log.warning("audit events go to the spool: %s", reason)

    # --- waiting

    def wait_live(self, timeout_s: float) -> bool:
        """Block until events go straight to Kafka's queue; False where that took too long."""
        return self._live.wait(timeout_s)

    def recall(self, delivery: Delivery) -> None:
        """Give up this librdkafka handle, and with it the event: no other way takes one back."""
        super().recall(delivery)
        if not delivery.done:
            self.ledger.link_failed = True

    def secure(self) -> None:
        """Force what was spooled to the disk. Raises DeliveryFailed."""
        try:
            self._store.sync()
        except OSError as error:
            raise DeliveryFailed(f"the spool cannot be synced: {error}", may_retry=True) from error

    def _settled(self) -> bool:
        if self.waiting():
            return False
        if self._live.is_set() and not self._store.events:
            return True
        return self._pulse.is_stalled  # Kafka takes nothing: no use in waiting

    def metrics(self) -> ProducerMetrics:
        """Return the counts of now; cheap, takes no lock."""
        memory = super().metrics()
        oldest_ms = self._store.oldest_ms
        age_s = 0.0 if oldest_ms is None else max(0.0, time.time() - oldest_ms / 1000)
        return ProducerMetrics(
            accepted=memory.accepted,
            acknowledged=memory.acknowledged,
            failed=memory.failed,
            dropped=memory.dropped,
            waiting_events=memory.waiting_events,
            spooled_events=self._store.events,
            spooled_bytes=self._store.bytes,
            oldest_waiting_s=max(memory.oldest_waiting_s, age_s),
        )

    # --- the thread

    def _tick(self) -> None:
        now_s = time.monotonic()
        super()._tick()
        self._pulse.note(self.ledger.acknowledged, now_s)
        if self.ledger.link_failed:
            self._renew_link()
        if self._live.is_set():
            self._watch(now_s)
        else:
            self._catch_up(now_s)
        self._reclaim()
        if now_s - self._synced_at_s >= self._options.sync_s:
            self._synced_at_s = now_s
            self._store.sync()

    def _reclaim(self) -> None:
        oldest_ms = self._too_old_ms()
        self._store.reclaim(oldest_ms)
        if dropped := self.ledger.dropped - self._logged_dropped:
            self._logged_dropped += dropped
            _log.error("%d spooled audit events dropped: too old, or damaged", dropped)
        if self._store.is_too_old(oldest_ms) and self._pulse.is_stalled:
            self.ledger.link_failed = True  # librdkafka holds some of it: take that back as well

    def _watch(self, now_s: float) -> None:
        oldest = next(iter(self._memory), None)
        if oldest is not None and now_s - oldest._since_s > self._options.after_s:
            self._fall_behind(f"no acknowledgement within {self._options.after_s:g} s")
        elif now_s - self._adopted_at_s > _ADOPT_EVERY_S and not self._store.bytes:
            self._adopted_at_s = now_s
            if self._store.claim():
                self._fall_behind("a process ended and left some")

    def _catch_up(self, now_s: float) -> None:
        self._copy_memory()
        self._store.adopt_claimed()
        if not self._pulse.is_paused(now_s):
            self._drain.go_on(self._link, self._too_old_ms())
            self._try_live()

    def _copy_memory(self) -> None:
        at_once = _COPY_AT_ONCE
        while self._memory:
            with self._lock:
                try:
                    self._copy_some(at_once)
                except SpoolFull as error:
                    if at_once > 1:  # there may be room for fewer
                        at_once = max(1, at_once // 10)
                        continue
                    if not self._full:
                        _log.error("%d audit events stay in memory: %s", self.waiting(), error)
                    self._full = True  # under the lock: from now on no caller copies
                    return
            time.sleep(_BREATH_S)
        self._full = False

    def _copy_some(self, at_once: int) -> None:
        """Copy the oldest of memory to the spool; the lock is held. Raises SpoolFull."""
        oldest = list(islice(self._memory, at_once))
        now_ms = time.time_ns() // 1_000_000
        for in_queue, group in groupby(oldest, key=lambda item: item._handed_over):
            # Read once: an answer may come, and take the value away, at any time.
            values = [(item, item._value) for item in group if item._may_spool]
            kept = [(item, value) for item, value in values if value is not None]
            if not kept:
                continue
            # Where the drain lags behind, what was handed over is sent again rather than lost.
            handed_over = in_queue and not self._store.unread_bytes
            data = b"".join(frame(value, item._key, now_ms) for item, value in kept)
            segment = self._store.append(data, len(kept), now_ms)
            handover = None
            if handed_over:
                self._store.skip_to_end()
                handover = self._store.handover(segment)
            for item, _ in kept:
                item.spool(handover)
        for _ in oldest:
            self._memory.popleft()

    def _try_live(self) -> None:
        with self._lock:
            if self._drain.is_held_up or self.ledger.link_failed or not self._is_healthy():
                return
            if not self._drain.reach_end(self._link, self._too_old_ms()):
                return
            if not self._hand_over_memory():
                return
            self._store.seal()
            self._live.set()
        _log.warning("audit events go to Kafka again")

    def _hand_over_memory(self) -> bool:
        """Hand over what the spool had no room for; False where librdkafka took not all."""
        for item in self._memory:
            value = item._value
            if item._handed_over or value is None:
                continue
            try:
                self._link.produce(self._topic, value, item._key, on_delivery=item)
            except (BufferError, KafkaException):
                return False
            item._handed_over = True
        return True

    def _is_healthy(self) -> bool:
        return not len(self._link) or self._pulse.is_healthy

    def _renew_link(self) -> None:
        """Give this librdkafka handle up, and begin again with the oldest spooled event."""
        self._fall_behind("this connection to Kafka is given up")
        if self.ledger.link_error:
            _log.error("Kafka refused spooled audit events, which stay: %s", self.ledger.link_error)
            self.ledger.link_error = ""
        self._copy_memory()
        fresh = self._connect()
        with self._lock:
            old = self._link
            old.purge()
            self._link = fresh
            self.ledger.link_failed = False
            self._drain.begin_again()
            for item in self._memory:
                item._handed_over = False
        old.flush(_PURGE_TIMEOUT_S)
        self._pulse.pause()

    def _too_old_ms(self) -> int:
        return int((time.time() - self._options.max_age_s) * 1000)

    # --- ending

    def forsake(self) -> None:
        """Give up, in a forked process, what belongs to its parent: its locks above all."""
        super().forsake()
        self._store.forsake()

    def _give_up(self) -> None:
        """Nothing: what is left in memory is spooled once the thread has ended."""

    def _finish(self) -> None:
        self._store.adopt_claimed()
        self._copy_memory()
        self._link.purge()
        self._link.flush(_PURGE_TIMEOUT_S)
        for item in tuple(self._memory):
            if not item.done:
                lost = f"event {item.id}: neither acknowledged nor spooled before the end"
                item.fail(DeliveryFailed(lost, topic=self._topic, may_retry=True))
        self._reclaim()
        try:
            self._store.close()
        except OSError as error:
            _log.error("the spool cannot be synced: %s", error)
