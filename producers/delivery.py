"""The delivery handle that `emit` returns, and the book that is kept of all of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from confluent_kafka import KafkaError, Message

from auditbus.runtime.errors import DeliveryFailed

if TYPE_CHECKING:
    from auditbus.producers.spool.handover import Handover

__all__ = ["Delivery", "DeliveryLedger"]

_log = logging.getLogger("auditbus.producers")
_TIMED_OUT = frozenset({KafkaError._MSG_TIMED_OUT, KafkaError._TIMED_OUT})  # noqa: SLF001
_PURGED = frozenset({KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT})  # noqa: SLF001
# What the broker will never take, however often it is sent. Anything else may pass: rights and
# topics can be mended while the spool keeps the event.
_POISON = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_MSG_SIZE,
        KafkaError.INVALID_RECORD,
        KafkaError._BAD_MSG,  # noqa: SLF001
    }
)
_PENDING, _ACKNOWLEDGED, _SPOOLED, _FAILED = range(4)


class DeliveryLedger:
    """Counts what became of events, and the failures that nobody has heard of yet.

    Its lock also guards the handles: they are many and short-lived, and a lock each would cost.
    It is re-entrant because a signal handler may ask for a handle that its own thread is reading.
    """

    __slots__ = (
        "_round",
        "_unseen",
        "acknowledged",
        "dropped",
        "failed",
        "has_spool",
        "last_failure",
        "link_error",
        "link_failed",
        "lock",
    )

    def __init__(self, *, has_spool: bool = False) -> None:
        self.lock = threading.RLock()
        self.has_spool = has_spool
        self.link_failed = False  # with a spool: this librdkafka handle must be given up
        self.link_error = ""
        self.acknowledged = 0
        self.failed = 0
        self.dropped = 0
        self.last_failure: DeliveryFailed | None = None
        self._unseen = 0
        self._round = 0

    def keeps(self, error: KafkaError) -> bool:
        """Tell whether the spool keeps the event of this failed report, to send it again.

        Then the handle that reported it is to be given up, unless that has just been done.
        """
        if not self.has_spool or error.code() in _POISON:
            return False
        if error.code() not in _PURGED:
            self.link_failed = True
            self.link_error = error.str()
        return True

    def add_failure(self, failure: DeliveryFailed) -> int:
        """Count one and return its round, which `seen` wants back; the caller holds the lock."""
        self.failed += 1
        self.last_failure = failure
        self._unseen += 1
        return self._round

    def fail_spooled(self, error: KafkaError, topic: str | None) -> None:
        """Count an event of the spool that the broker refuses for good; the lock is held."""
        self.failed += 1
        self.last_failure = DeliveryFailed(f"a spooled event: {error.str()}", topic=topic)

    def drop(self, count: int) -> None:
        """Count events of the spool that were lost to its limits or to damage."""
        with self.lock:
            self.dropped += count

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


class Delivery(msgspec.Struct, gc=False, eq=False):
    """What became of one event. Safe between threads.

    ```text
    pending ──▶ acknowledged   Kafka has it, with all its replicas
       │  └───▶ failed         for good; `exception` says why
       └─▶ spooled             on this machine's disk, kept for Kafka ──▶ acknowledged
    ```

    A handle that was spooled is done: the spool answers for the event from then on, in this
    process or the next, and the producer's metrics and log tell of it.
    """

    # A structure outside the cycle collector: a full queue of them would cost every collection.
    # What could close a cycle, the callbacks, is dropped when they have run.

    id: str
    _ledger: DeliveryLedger
    _value: bytes | None = None
    _key: bytes = b""
    _since_s: float = 0.0
    _may_spool: bool = False
    _handed_over: bool = True
    _state: int = _PENDING
    _handover: Handover | None = None
    _unseen_in: int | None = None
    _is_told: bool = False
    _failure: DeliveryFailed | None = None
    _callbacks: tuple[Callable[[Delivery], object], ...] = ()
    _waiter: threading.Event | None = None

    def __repr__(self) -> str:
        """Never the event itself."""
        names = ("pending", "acknowledged", "spooled", "failed")
        return f"<Delivery {self.id} {names[self._state]}>"

    @property
    def done(self) -> bool:
        """True once Kafka has acknowledged the event, the spool has it, or it has failed."""
        return self._state != _PENDING

    @property
    def acknowledged(self) -> bool:
        """True once Kafka has acknowledged the event with all its replicas."""
        return self._state == _ACKNOWLEDGED

    @property
    def spooled(self) -> bool:
        """True while the event lies in the spool, as far as this handle knows."""
        return self._state == _SPOOLED

    @property
    def exception(self) -> DeliveryFailed | None:
        """Why it failed; None where it has not."""
        with self._ledger.lock:
            if self._unseen_in is not None:
                self._ledger.seen(self._unseen_in)
                self._unseen_in = None
            return self._failure

    def wait(self, timeout_s: float) -> None:
        """Block until the event is acknowledged or spooled, at most `timeout_s` seconds.

        Raises DeliveryFailed when it failed, or when neither came in time; in the second case it
        may still arrive, and `done` tells.
        """
        with self._ledger.lock:
            if self._state == _PENDING and self._waiter is None:
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
            if self._state == _PENDING:
                self._callbacks = (*self._callbacks, callback)
                return
        callback(self)

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report."""
        ledger = self._ledger
        if error is not None:
            self._on_error(error, message.topic())
            return
        with ledger.lock:
            ledger.acknowledged += 1
            if self._handover is not None:
                self._handover.resolved += 1
            self._state = _ACKNOWLEDGED
            self._value = None
        if self._waiter is not None or self._callbacks:
            self._tell()

    def _on_error(self, error: KafkaError, topic: str | None) -> None:
        ledger = self._ledger
        with ledger.lock:
            if self._may_spool and ledger.keeps(error):
                return  # it is in the spool, or in memory on its way there
            if self._handover is not None:
                self._handover.resolved += 1
        self.fail(_failure(self.id, error, topic))

    def give_up(self) -> None:
        """Note that its caller has been told of its failure, should it end so."""
        with self._ledger.lock:
            self._is_told = True

    def fail(self, failure: DeliveryFailed) -> None:
        """End it, and count it as failed."""
        with self._ledger.lock:
            self._failure = failure
            round_ = self._ledger.add_failure(failure)
            if self._is_told:
                self._ledger.seen(round_)
            else:
                self._unseen_in = round_
            self._state = _FAILED
            self._value = None
        self._tell()

    def spool(self, handover: Handover | None) -> None:
        """Note that the spool has it. `handover`: of its segment, where Kafka may answer yet."""
        with self._ledger.lock:
            self._value = None
            if self._state == _PENDING:
                self._state = _SPOOLED
                self._handover = handover
            elif handover is not None:
                handover.resolved += 1  # answered while it was being copied
        if self._waiter is not None or self._callbacks:
            self._tell()

    def _tell(self) -> None:
        with self._ledger.lock:
            callbacks, self._callbacks = self._callbacks, ()
            waiter = self._waiter
        if waiter is not None:
            waiter.set()
        for callback in callbacks:
            try:
                callback(self)
            except Exception:  # noqa: BLE001 -- a service's callback; the reports must go on
                _log.exception("delivery callback failed")


def _failure(event_id: str, error: KafkaError, topic: str | None) -> DeliveryFailed:
    if error.code() in _PURGED:
        reason = "not acknowledged before the producer gave it up"
    else:
        reason = error.str()
    may_retry = error.retriable() or error.code() in _TIMED_OUT | _PURGED
    return DeliveryFailed(f"event {event_id}: {reason}", topic=topic, may_retry=may_retry)
