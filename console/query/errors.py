"""Errors of reading the log.

AuditbusError
└── TailBroken       the raw topic was made anew: its offsets start again
"""

from __future__ import annotations

from auditbus.schemas.errors import AuditbusError

__all__ = ["TailBroken"]


class TailBroken(AuditbusError):
    """Offsets of a raw partition went back, as they do when the topic is made anew."""

    def __init__(self, partition: int) -> None:
        """Say what to do."""
        super().__init__(
            f"offsets of raw partition {partition} went back: the topic was made anew; tail again"
        )
        self.partition = partition
