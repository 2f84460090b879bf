"""What a destination will never take becomes dead letters, and is settled once Kafka has them."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from auditbus.runtime import metrics
from auditbus.runtime.dead_letters import DeadLetter, DeadLetterWriter, Origin
from auditbus.runtime.errors import DeliveryFailed
from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.outcomes import Failed, Refusal
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.tally import Counts, Tally

__all__ = ["DEAD_LETTER_UNWRITTEN", "Refused"]

DEAD_LETTER_UNWRITTEN = "dead_letter_unwritten"
"""Code of the failure to write a dead letter: nothing moves on until Kafka takes it."""

_FLUSH_S = 15.0
_log = get_logger(__name__)


class Refused:
    """Those of one destination. Safe to use from several threads."""

    def __init__(self, destination: str, letters: DeadLetterWriter, tally: Tally) -> None:
        """Write through `letters`, which must be this destination's own."""
        self._destination = destination
        self._letters = letters
        self._tally = tally
        self._lock = threading.Lock()

    def bury(self, batch: Batch, letters: Mapping[Record, Refusal]) -> Failed | None:
        """Write dead letters and wait for Kafka; return the failure where it did not take them.

        The lock: a flush proves what was written since the one before it, by whichever thread.
        """
        if not letters:
            return None
        try:
            with self._lock:
                for record, refusal in letters.items():
                    self._letters.write(self._letter(batch, record, refusal))
                self._letters.flush(_FLUSH_S)
        except DeliveryFailed as error:
            return Failed(DEAD_LETTER_UNWRITTEN, str(error))
        metrics.SINK_ROWS.labels(self._destination, "dead_letter").inc(len(letters))
        self._tally.add(Counts(refused=len(letters)))
        for record, refusal in letters.items():
            _log.warning(
                "event_dead_lettered",
                destination=self._destination,
                code=refusal.code,
                reason=refusal.reason,
                topic=batch.topic,
                partition=batch.partition,
                offset=record.offset,
            )
        return None

    def _letter(self, batch: Batch, record: Record, refusal: Refusal) -> DeadLetter:
        return DeadLetter(
            value=record.value,
            key=record.key,
            headers=record.headers,
            code=refusal.code,
            reason=refusal.reason,
            stage=f"forwarder.{self._destination}",
            origin=Origin(batch.topic, batch.partition, record.offset, record.timestamp_ms),
            extra=(("destination", self._destination), ("response", refusal.response)),
        )
