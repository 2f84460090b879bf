"""What happens in the console is audited like anything else: events of the account `auditbus`.

They go the way of all events, through Kafka. While that is down they wait on disk, and what they
tell of goes on: nobody is kept out because the broker is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from auditbus.console.access.principal import Principal
from auditbus.console.producing import producer_of
from auditbus.producers import AuditProducer, PublishError, Spool
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.schemas.errors import InvalidEvent

__all__ = ["ACCOUNT", "UNRECORDED", "Caller", "Emitter", "Recorder", "new_producer"]

ACCOUNT = "auditbus"
"""The account of the console's own events."""

_log = get_logger(__name__)
_MAX_TEXT = 500


class Emitter(Protocol):
    """The part of an AuditProducer that is needed here."""

    def emit(self, event: Mapping[str, Any], /) -> object:
        """Take an event without blocking."""


@dataclass(frozen=True, slots=True)
class Caller:
    """From where something was asked; empty where it is not known."""

    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Publishes the console's own events. Safe for many threads; never blocks, never raises."""

    producer: Emitter

    def record(
        self,
        action: str,
        description: str,
        *,
        principal: Principal | None,
        caller: Caller,
        targets: Sequence[Mapping[str, str]] = (),
        changes: Sequence[Mapping[str, Any]] = (),
        error: str | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Record one thing that `principal` did, None for one who is not known.

        An `error` says that it was refused, and why.
        """
        event: dict[str, Any] = {
            "action": action,
            "description": description,
            "account": {"id": ACCOUNT, "name": "auditbus"},
            "actor": _actor(principal),
            "context": {
                name: value[:_MAX_TEXT]
                for name, value in (("ip", caller.ip), ("user_agent", caller.user_agent))
                if value
            },
            "targets": [dict(target) for target in targets],
            "changes": [dict(change) for change in changes],
            "metadata": dict(metadata or {}),
        }
        if error is not None:
            event["error"] = {"message": error}
        try:
            self.producer.emit({name: value for name, value in event.items() if value})
        except (PublishError, InvalidEvent) as lost:
            _log.error("audit_event_lost", action=action, reason=type(lost).__name__)


class _Nowhere:
    def emit(self, event: Mapping[str, Any], /) -> object:
        """Keep nothing."""


UNRECORDED = Recorder(_Nowhere())
"""For an application without Kafka, as in tests of other things."""


def new_producer(settings: Settings) -> AuditProducer:
    """Return the producer of the console's own events; close it at the end.

    Raises SettingsError for Kafka settings that can't be used, and for a spool directory likewise.
    """
    return producer_of(
        settings,
        "auditbus-console",
        service="auditbus-console",
        spool=Spool(settings.console.spool_dir or settings.data_dir / "console-spool"),
    )


def _actor(principal: Principal | None) -> dict[str, str]:
    if principal is None:
        return {"type": "user", "name": "unknown"}
    kind = "service" if principal.id.startswith(("token:", "schedule:")) else "user"
    return {"type": kind, "id": principal.id[:_MAX_TEXT], "name": principal.name[:_MAX_TEXT]}
