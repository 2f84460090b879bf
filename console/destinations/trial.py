"""Send one marked event to a destination, and say what it answered.

It takes the way that every event takes: redaction, encoder and client of the destination, with its
address and credentials as this process sees them. It goes past Kafka and past the filter, and is
no dead letter when it is refused.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson

from auditbus.schemas.enriched import EnrichedEvent
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem import Accepted, Blocked, Delivered, Event, Failed, Outcome, Rejected
from auditbus.sinks.siem.destination import Destination, Parcel
from auditbus.sinks.siem.preparation import Preparation
from auditbus.sinks.siem.secrets import cut_secrets, secret_values

__all__ = ["TEST_ACTION", "Trial", "marked_event", "try_destination"]

TEST_ACTION = "AuditbusDestinationTested"


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `verdict`: delivered, refused (it answered no) or unreachable.

    `answer` is for people; it may quote the destination, secrets cut.
    """

    event_id: str
    verdict: str
    code: str
    answer: str
    took_s: float
    passes_filter: bool


def try_destination(destination: Destination, account: str, timeout_s: float) -> Trial:
    """Send and wait for the answer, and for the acknowledgement for `timeout_s` seconds at most.

    `account` is the operator's own. Raises Unencodable where the encoding cannot say it.
    """
    settings = destination.settings
    fields = marked_event(account, raw=settings.topic == "raw")
    event = Event(orjson.dumps(fields), fields, time.time_ns() // 1_000_000)
    prepare = Preparation(destination)
    body = prepare.encode(event)
    started = time.monotonic()
    client = destination.kind.connect(settings)
    try:
        outcome = client.deliver(Parcel(f"audit_test_{fields['id']}", (body,), event.timestamp_ms))
        deadline = started + timeout_s
        while isinstance(outcome, Accepted) and time.monotonic() < deadline:
            time.sleep(max(0.0, min(outcome.check_after_s, deadline - time.monotonic())))
            outcome = outcome.confirm()
    finally:
        client.close()
    verdict, code, answer = _judge(outcome)
    return Trial(
        event_id=fields["id"],
        verdict=verdict,
        code=code,
        answer=cut_secrets(answer, secret_values(settings)),
        took_s=time.monotonic() - started,
        passes_filter=prepare.is_wanted(event),
    )


def marked_event(account: str, *, raw: bool) -> dict[str, Any]:
    """Return an event that says that it is a test."""
    now = format_epoch_ms(time.time_ns() // 1_000_000)
    event: dict[str, Any] = {
        "id": uuid7(),
        "schema_version": 1,
        "action": TEST_ACTION,
        "occurred_at": now,
        "account": {"id": account},
        "actor": {"type": "system", "id": "auditbus"},
        "description": "Test of this destination by auditbus: please ignore",
        "outcome": "success",
        "metadata": {"auditbus_test": True},
    }
    if raw:
        return event
    added = {
        "received_at": now,
        "category": "other",
        "operation": "other",
        "location": {},
        "device": {},
        "origin": {"topic": "auditbus destinations test", "partition": 0, "offset": 0},
    }
    return event | {name: added[name] for name in EnrichedEvent.__struct_fields__ if name in added}


def _judge(outcome: Outcome) -> tuple[str, str, str]:
    match outcome:
        case Delivered(refused) if refused:
            refusal = next(iter(refused.values()))
            verdict = "refused", refusal.code, f"{refusal.reason} {refusal.response}"
        case Delivered(again=again) if again:
            verdict = "unreachable", "not_now", "it did not take the event for now"
        case Delivered():
            verdict = "delivered", "ok", "acknowledged"
        case Accepted():
            verdict = "unreachable", "unacknowledged", "taken, but not acknowledged in time"
        case Rejected(code, reason, response):
            verdict = "refused", code, f"{reason} {response}"
        case Blocked(code, reason):
            verdict = "refused", code, reason
        case Failed(code, reason):
            verdict = "unreachable", code, reason
    return verdict
