"""The audit event that holds nothing but what version 1 names: what a producer mostly writes.

Whoever has this view of an event has seen all names in it, but for those within `metadata`,
`changes`, `client_hints` and `producer`.
"""

from __future__ import annotations

from auditbus.schemas.event import (
    Account,
    Actor,
    AuditEvent,
    Context,
    Credential,
    Delegate,
    EventError,
    Target,
)
from auditbus.schemas.resolved import resolved

__all__ = [
    "StrictAccount",
    "StrictActor",
    "StrictContext",
    "StrictCredential",
    "StrictDelegate",
    "StrictError",
    "StrictEvent",
    "StrictTarget",
]


class StrictAccount(Account, frozen=True, gc=False, forbid_unknown_fields=True):
    """An Account and no more."""


class StrictCredential(Credential, frozen=True, gc=False, forbid_unknown_fields=True):
    """A Credential and no more."""


class StrictDelegate(Delegate, frozen=True, gc=False, forbid_unknown_fields=True):
    """A Delegate and no more."""


class StrictActor(Actor, frozen=True, gc=False, forbid_unknown_fields=True):
    """An Actor and no more."""

    credential: StrictCredential | None = None
    on_behalf_of: StrictDelegate | None = None


class StrictTarget(Target, frozen=True, gc=False, forbid_unknown_fields=True):
    """A Target and no more."""


class StrictError(EventError, frozen=True, gc=False, forbid_unknown_fields=True):
    """An EventError and no more."""


class StrictContext(Context, frozen=True, gc=False, forbid_unknown_fields=True):
    """A Context and no more."""


@resolved
class StrictEvent(AuditEvent, frozen=True, gc=False, forbid_unknown_fields=True):
    """An AuditEvent and no more."""

    account: StrictAccount | None = None
    actor: StrictActor | None = None
    targets: list[StrictTarget] | None = None  # type: ignore[assignment]  # nobody adds to it
    error: StrictError | None = None
    context: StrictContext | None = None
