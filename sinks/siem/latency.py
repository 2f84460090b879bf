"""How old events are when a destination has them."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from auditbus.runtime import metrics
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.sinks.siem.records import Record

__all__ = ["observe_latency", "occurred_at", "recorded_at"]


class _Timed(msgspec.Struct):
    occurred_at: str


_decode_time = msgspec.json.Decoder(_Timed).decode


def observe_latency(destination: str, begin: datetime | None) -> None:
    """Observe the age of a batch's oldest event, where it is known."""
    if begin is not None:
        age = datetime.now(UTC) - begin
        metrics.END_TO_END_LATENCY.labels(destination).observe(max(age.total_seconds(), 0.0))


def occurred_at(record: Record) -> datetime | None:
    """Return when an event occurred; None where the raw topic's does not say."""
    try:
        return parse_rfc3339(_decode_time(record.value or b"").occurred_at)
    except (msgspec.MsgspecError, ValueError):
        return None


def recorded_at(record: Record) -> datetime | None:
    """Return the broker's time: what waits for acknowledgement has nothing else left."""
    return (
        datetime.fromtimestamp(record.timestamp_ms / 1000, UTC) if record.timestamp_ms > 0 else None
    )
