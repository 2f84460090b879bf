"""Takes Kafka's answers for the spooled events of one segment."""

from __future__ import annotations

from confluent_kafka import KafkaError, Message

from auditbus.producers.delivery import DeliveryLedger

__all__ = ["Handover"]


class Handover:
    """Counts what was answered of one segment over one librdkafka handle.

    When the handle is given up the segment gets a new one: late answers to the old count nothing.
    """

    __slots__ = ("_ledger", "resolved")

    def __init__(self, ledger: DeliveryLedger) -> None:
        """Start at none."""
        self._ledger = ledger
        self.resolved = 0

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        """Take librdkafka's delivery report."""
        ledger = self._ledger
        with ledger.lock:
            if error is None:
                ledger.acknowledged += 1
                self.resolved += 1
            elif not ledger.keeps(error):
                ledger.fail_spooled(error, message.topic())
                self.resolved += 1

    def dropped(self, count: int) -> None:
        """Count events that were too old, or damaged, to be handed over."""
        with self._ledger.lock:
            self.resolved += count
        self._ledger.drop(count)
