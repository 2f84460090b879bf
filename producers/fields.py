"""What `emit` takes: the fields of an event, as mappings or as the structures of `schemas`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from auditbus.schemas.event import Account, Actor, Change, Context, EventError, Target

__all__ = ["EventFields"]

Members = Mapping[str, Any]


class EventFields(TypedDict, total=False):
    """Version 1 of the event, without what only the stream may add; None means absent.

    `occurred_at` is RFC 3339 in UTC or an aware datetime of any zone (default: now). `id` is made
    unless given; give it to publish the same event again, or where the source has its own.
    """

    action: str
    actor: Actor | Members | None
    account: Account | Members | None
    targets: Sequence[Target | Members] | None
    description: str | None
    outcome: Literal["success", "failure", "unknown"] | None
    error: EventError | Members | None
    context: Context | Members | None
    changes: Sequence[Change | Members] | None
    metadata: Members | None
    occurred_at: str | datetime | None
    id: str | UUID | None
