"""The audit event, version 1: its typed view and its limits.

The wire form is one JSON object in UTF-8. These structures name the fields that auditbus reads;
any other field is allowed and kept byte for byte. `null` on an optional field means absent.
`schemas/json/` holds the same as JSON Schema for other languages.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from auditbus.schemas.resolved import resolved

__all__ = [
    "ACTION_PATTERN",
    "MAX_EVENT_BYTES",
    "MAX_METADATA_BYTES",
    "MAX_METADATA_KEYS",
    "MAX_METADATA_KEY_CHARACTERS",
    "MAX_YEARS_FROM_BROKER_TIME",
    "RESERVED_FIELDS",
    "SCHEMA_VERSION",
    "Account",
    "Actor",
    "AuditEvent",
    "Change",
    "Context",
    "Credential",
    "Delegate",
    "EventError",
    "ProducerStamp",
    "Target",
]

SCHEMA_VERSION = 1
ACTION_PATTERN = r"[A-Za-z][A-Za-z0-9_.:-]{0,99}"
MAX_EVENT_BYTES = 256 * 1024
MAX_METADATA_KEYS = 50
MAX_METADATA_KEY_CHARACTERS = 40
MAX_METADATA_BYTES = 64 * 1024
MAX_YEARS_FROM_BROKER_TIME = 10

# What the stream adds. A producer's event that carries one is refused: the stream splices these
# onto the producer's bytes, and a second copy could be taken for the stream's own word.
RESERVED_FIELDS = frozenset(
    {"received_at", "category", "operation", "location", "device", "origin"}
)


class Account(msgspec.Struct, frozen=True, omit_defaults=True):
    """The tenant. Its id is the Kafka key."""

    id: str
    name: str | None = None


class Credential(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the actor signed in with: an API token, a key, a session."""

    type: str | None = None
    id: str | None = None


class Delegate(msgspec.Struct, frozen=True, omit_defaults=True):
    """On whose behalf the actor acted (impersonation, support access)."""

    type: str | None = None
    id: str | None = None
    name: str | None = None


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who did it."""

    type: Literal["user", "service", "system"]
    id: str | None = None
    name: str | None = None
    email: str | None = None
    credential: Credential | None = None
    on_behalf_of: Delegate | None = None


class Target(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was acted on."""

    type: str | None = None
    id: str | None = None
    name: str | None = None


class EventError(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why the action failed."""

    code: str | None = None
    message: str | None = None


class Context(msgspec.Struct, frozen=True, omit_defaults=True):
    """From where and through what: address, device, request."""

    ip: str | None = None
    forwarded_for: list[str] | None = None
    user_agent: str | None = None
    client_hints: dict[str, str | None] | None = None
    request_id: str | None = None
    session_id: str | None = None
    trace_id: str | None = None


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field before and after."""

    field: str
    before: Any = None
    after: Any = None
    redacted: bool | None = None


class ProducerStamp(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which process published it; `seq` counts per (instance, epoch), so a gap proves a loss."""

    service: str | None = None
    version: str | None = None
    instance: str | None = None
    epoch: int | None = None
    seq: int | None = None


@resolved
class AuditEvent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Version 1 of the audit event, as a producer writes it.

    `occurred_at` is RFC 3339 in UTC. A missing `account` means the operator's own account; a
    missing `outcome` means failure where there is an `error`, else success.
    """

    id: str
    schema_version: int
    action: str
    occurred_at: str
    account: Account | None = None
    actor: Actor | None = None
    targets: list[Target] | None = None
    description: str | None = None
    outcome: Literal["success", "failure", "unknown"] | None = None
    error: EventError | None = None
    context: Context | None = None
    changes: list[Change] | None = None
    metadata: dict[str, Any] | None = None
    producer: ProducerStamp | None = None

    @property
    def effective_outcome(self) -> Literal["success", "failure", "unknown"]:
        """`outcome`, or what its absence means."""
        if self.outcome is not None:
            return self.outcome
        return "success" if self.error is None else "failure"
