"""What a producer says of itself."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ProducerMetrics"]


@dataclass(frozen=True, slots=True)
class ProducerMetrics:
    """A snapshot of one producer in one process.

    accepted           events that `emit` took
    acknowledged       events that Kafka has, those of the spool and of adopted spools among them
    failed             events that were taken and then failed for good
    dropped            events of the spool that were lost to `max_age_s` or to a damaged disk
    waiting_events     in memory, neither acknowledged nor spooled
    spooled_events     on disk, not acknowledged
    spooled_bytes      size of the spool's files
    oldest_waiting_s   age of the oldest event that waits, in memory or on disk; 0 where none does
    """

    accepted: int = 0
    acknowledged: int = 0
    failed: int = 0
    dropped: int = 0
    waiting_events: int = 0
    spooled_events: int = 0
    spooled_bytes: int = 0
    oldest_waiting_s: float = 0.0
