"""Errors of reading the log.

AuditbusError
├── StoreRefused
│   └── QueryCut     took too long, or too much memory
└── TailBroken       the raw topic was made anew: its offsets start again
"""

from __future__ import annotations

from auditbus.runtime.errors import StoreRefused
from auditbus.schemas.errors import AuditbusError

__all__ = ["QueryCut", "TailBroken"]


class QueryCut(StoreRefused):
    """The query reached its limit of time or memory, and was stopped; says what to do."""


class TailBroken(AuditbusError):
    """Offsets of a raw partition went back, as they do when the topic is made anew."""

    def __init__(self, partition: int) -> None:
        """Say what to do."""
        super().__init__(
            f"offsets of raw partition {partition} went back: the topic was made anew; tail again"
        )
        self.partition = partition
