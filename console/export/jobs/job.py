"""One background export: what was asked for, which never changes, and how far it is."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum

from auditbus.console.access import Caller, Principal, Scope, covers, visible
from auditbus.console.export.columns import chosen_columns
from auditbus.console.export.compression import Compression
from auditbus.console.export.formats import Format
from auditbus.console.export.manifest import new_export_id
from auditbus.console.export.plan import Plan
from auditbus.console.export.request import ExportRequest
from auditbus.console.query.predicate import EventFilter, Predicate

__all__ = ["Job", "Progress", "State"]

_LINK_KEY_BYTES = 32


class State(StrEnum):
    """What becomes of it."""

    QUEUED = "queued"  # waits for a worker, at first or again
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    DOWNLOADED = "downloaded"  # a stream that went to its reader: only its manifest is here

    @property
    def is_unfinished(self) -> bool:
        """Whether there is work left."""
        return self in {State.QUEUED, State.RUNNING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What was asked for, by whom.

    Attributes:
        predicate: what was wanted and might be seen when it was asked for.
        seen: of that, what might be seen; see `shows_no_more_than`.
        link_key: signs the links to the file, in hex.
    """

    id: str
    owner: str
    owner_name: str
    caller: Caller
    scope: str
    format: Format
    columns: tuple[str, ...]
    compression: Compression
    filter: EventFilter
    predicate: Predicate
    seen: Predicate
    limit: int | None
    created_at: datetime
    link_key: str = field(repr=False)

    @classmethod
    def of(
        cls,
        request: ExportRequest,
        principal: Principal,
        caller: Caller,
        scope: str,
        export_id: str | None = None,
    ) -> Job:
        """Return the job of doing what `principal` asks for."""
        return cls(
            id=export_id or new_export_id(),
            owner=principal.id,
            owner_name=principal.name,
            caller=caller,
            scope=scope,
            format=request.format,
            columns=tuple(column.name for column in request.columns),
            compression=request.compression,
            filter=request.filter,
            predicate=request.predicate,
            seen=_seen(principal, scope),
            limit=request.limit,
            created_at=datetime.now(UTC),
            link_key=secrets.token_hex(_LINK_KEY_BYTES),
        )

    def shows_no_more_than(self, principal: Principal) -> bool:
        """Tell whether `principal` may see now all that this export was allowed to show."""
        return covers(_seen(principal, self.scope), self.seen)

    @property
    def request(self) -> ExportRequest:
        """What to export."""
        return ExportRequest(
            format=self.format,
            columns=chosen_columns(self.columns),
            compression=self.compression,
            filter=self.filter,
            predicate=self.predicate,
            limit=self.limit,
            exported_by=self.owner,
        )

    @property
    def file_name(self) -> str:
        """What the file is called where it is taken to."""
        return f"audit-log-{self.created_at:%Y%m%dT%H%M%SZ}.{self.format}{self.compression.suffix}"


def _seen(principal: Principal, scope: str) -> Predicate:
    """Return what may be seen in `scope`, which is empty for who may see nothing."""
    return visible(principal, Scope(scope)) if scope else Predicate("false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far it is.

    Attributes:
        plan: None until what matches was looked at.
        slices, rows, size_bytes: what lies in the file for good: whole slices.
        rows_seen: rows so far, for people; those of the slice under way are in it.
        attempts: how often it was begun since the last slice was completed.
        not_before: when to try again.
        error: what went wrong, for people.
    """

    state: State = State.QUEUED
    plan: Plan | None = None
    limit: int | None = None
    slices: int = 0
    rows: int = 0
    size_bytes: int = 0
    rows_seen: int = 0
    attempts: int = 0
    not_before: datetime | None = None
    error: str | None = None
    finished_at: datetime | None = None

    def anew(self) -> Progress:
        """Return how far it is once what was written is thrown away."""
        return replace(self, plan=None, limit=None, slices=0, rows=0, size_bytes=0, rows_seen=0)

    def ended(self, state: State, error: str | None = None) -> Progress:
        """Return how far it is now that it is over."""
        return replace(
            self, state=state, error=error, not_before=None, finished_at=datetime.now(UTC)
        )
