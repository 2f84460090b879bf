"""What the console does to retention, in its own events."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from auditbus.console.access import Caller, Principal, Recorder, Role
from auditbus.console.retention import ACTION, Record, Recorded
from auditbus.console.web.callers import AdministratorOf, CallerOf
from auditbus.console.web.services import ServicesOf

__all__ = ["RecordOf", "keepers_record"]

_KEEPER = Principal("token:retention-keeper", "auditbus console", Role.ADMINISTRATOR)


def _record_by(recorder: Recorder, principal: Principal, caller: Caller) -> Record:
    def record(done: Recorded) -> None:
        recorder.record(
            ACTION,
            done.description,
            principal=principal,
            caller=caller,
            targets=[{name: str(value) for name, value in done.target.items()}],
            changes=done.changes,
            metadata=done.metadata,
        )

    return record


def keepers_record(recorder: Recorder) -> Record:
    """Return the record of what takes effect by itself: a service's, no person's."""
    return _record_by(recorder, _KEEPER, Caller())


def _record_of(administrator: AdministratorOf, services: ServicesOf, caller: CallerOf) -> Record:
    return _record_by(services.recorder, administrator, caller)


RecordOf = Annotated[Record, Depends(_record_of)]
"""Annotate a handler's parameter with it, to record what an administrator does."""
