"""The delivery handle that `emit` returns, and the book that is kept of all of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from confluent_kafka import KafkaError, Message

from auditbus.runtime.errors import DeliveryFailed

__all__ = ["Delivery", "DeliveryLedger"]

_log = logging.getLogger("auditbus.producers")
_TIMED_OUT = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})  # noqa: SLF001
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001


class DeliveryLedger:
    """Counts what ended, what failed, and the failures that nobody has heard of yet.

    Its lock also guards the handles: they are many and short-lived, and a lock each would cost.
    It is re-entrant because a signal handler may ask for a handle that its own thread is reading.
    """

    __slots__ = ("_round", "_unseen", "done", "failed", "last_failure", "lock")

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.done = 0
        self.failed = 0
        self.last_failure: DeliveryFailed | None = None
        self._unseen = 0
        self._round = 0

    def add_failure(self, failure: DeliveryFailed) -> int:
        """Count one and return its round, which `seen` wants back; the caller holds the lock."""
        self.failed += 1
        self.last_failure = failure
        self._unseen += 1
        return self._round

    def seen(self, round_: int) -> None:
        """Take one back: its owner knows, unless `take_unseen` told first; the lock is held."""
        if round_ == self._round:
            self._unseen -= 1

    def take_unseen(self) -> int:
        """Return how many failures nobody has heard of, and start a new round."""
        with self.lock:
            unseen, self._unseen = self._unseen, 0
            self._round += 1
        return unseen


class Delivery:
    """What became of one event: pending, acknowledged by Kafka, or failed. Safe between threads."""

    __slots__ = ("_callbacks", "_done", "_failure", "_ledger", "_unseen_in", "_waiter", "id")

    def __init__(self, event_id: str, ledger: DeliveryLedger) -> None:
        """Start as pending; `event_id` is the event's UUIDv7."""
        self.id = event_id
        self._ledger = ledger
        self._done = False
        self._unseen_in: int | None = None
        self._failure: DeliveryFailed | None = None
        self._callbacks: list[Callable[[Delivery], object]] | None = None
        self._waiter: threading.Event | None = None

    @property
    def done(self) -> bool:
        """True once Kafka has acknowledged the event or it has failed for good."""
        return self._done

    @property
    def exception(self) -> DeliveryFailed | None:
        """Why it failed; None while pending and once acknowledged."""
        with self._ledger.lock:
            if self._unseen_in is not None:
                self._ledger.seen(self._unseen_in)
                self._unseen_in = None
            return self._failure

    def wait(self, timeout_s: float) -> None:
        """Block until Kafka has acknowledged the event, at most `timeout_s` seconds.

        Raises DeliveryFailed when it failed, or when no acknowledgement came in time; in the
        second case it may still arrive, and `done` tells.
        """
        with self._ledger.lock:
            if not self._done and self._waiter is None:
                self._waiter = threading.Event()
            waiter = self._waiter
        if waiter is not None and not waiter.wait(timeout_s):
            raise DeliveryFailed(
                f"event {self.id}: no acknowledgement within {timeout_s:g} s", may_retry=True
            )
        if (failure := self.exception) is not None:
            raise failure

    def add_done_callback(self, callback: Callable[[Delivery], object]) -> None:
        """Call `callback(delivery)` once done, or at once where it is.

        It runs in the producer's own thread: it must not block, and what it raises is logged.
        """
        with self._ledger.lock:
            if not self._done:
                self._callbacks = [*(self._callbacks or ()), callback]
                return
        callback(self)

    def on_report(self, error: KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report."""
        failure = None if error is None else _failure(self.id, error, message.topic())
        with self._ledger.lock:
            if failure is not None:
                self._failure = failure
                self._unseen_in = self._ledger.add_failure(failure)
            self._done = True
            self._ledger.done += 1
            callbacks, self._callbacks = self._callbacks, None
        if self._waiter is not None:
            self._waiter.set()
        for callback in callbacks or ():
            try:
                callback(self)
            except Exception:  # noqa: BLE001 -- a service's callback; the reports must go on
                _log.exception("delivery callback failed")


def _failure(event_id: str, error: KafkaError, topic: str | None) -> DeliveryFailed:
    if error.code() in _PURGED:
        reason = "not acknowledged before the producer was closed"
    else:
        reason = error.str()
    may_retry = error.retriable() or error.code() in _TIMED_OUT | _PURGED
    return DeliveryFailed(f"event {event_id}: {reason}", topic=topic, may_retry=may_retry)
