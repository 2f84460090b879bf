"""The way out of the spool: its events are handed to librdkafka, oldest first."""

from __future__ import annotations

from collections import deque

from confluent_kafka import KafkaException, Producer

from auditbus.producers.delivery import DeliveryLedger
from auditbus.producers.spool.store import Record, SpoolStore

__all__ = ["Drain"]

_WINDOW = 20_000  # events that may wait in librdkafka's queue
_LAST_UNREAD_BYTES = 256 * 1024  # handed over under the lock of `emit`: a few milliseconds


class Drain:
    """Reads the store and hands over; for the outbox's own thread."""

    def __init__(self, store: SpoolStore, ledger: DeliveryLedger) -> None:
        """Begin where the store's reader stands."""
        self._store = store
        self._ledger = ledger
        self._read: deque[Record] = deque()  # read from the spool, not yet handed over

    @property
    def is_held_up(self) -> bool:
        """Whether librdkafka has not taken all that was read."""
        return bool(self._read)

    def go_on(self, link: Producer, oldest_ms: int) -> None:
        """Hand over until librdkafka holds enough, or the spool's end; drops what is older.

        Raises OSError.
        """
        while len(link) < _WINDOW and self._hand_over(link):
            self._read.extend(self._store.read(oldest_ms))
            if not self._read:
                return

    def reach_end(self, link: Producer, oldest_ms: int) -> bool:
        """Hand over the last few, while nothing is added; False where that did not reach the end.

        Raises OSError.
        """
        while 0 < self._store.unread_bytes <= _LAST_UNREAD_BYTES:
            self._read.extend(self._store.read(oldest_ms))
            if not self._hand_over(link):
                return False
        return not self._store.unread_bytes

    def begin_again(self) -> None:
        """Start anew with the oldest event: the librdkafka handle was given up."""
        self._store.rewind()
        self._read.clear()

    def _hand_over(self, link: Producer) -> bool:
        """Hand over what was read; False where librdkafka took not all of it."""
        while self._read:
            topic, value, key, handover = self._read[0]
            try:
                link.produce(topic, value, key, on_delivery=handover)
            except BufferError:
                return False
            except KafkaException:
                self._ledger.link_failed = True
                return False
            self._read.popleft()
        return True
