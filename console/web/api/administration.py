"""What an administrator changes about who may see what: made in the register, and recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from fastapi import Depends

from auditbus.console.access import Caller, Principal, Recorder, Register
from auditbus.console.access.api_tokens import Change, changes_of
from auditbus.console.access.history import History
from auditbus.console.access.records import Record
from auditbus.console.web.callers import AdministratorOf, CallerOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

__all__ = ["Administration", "AdministrationOf"]

_Row = TypeVar("_Row", bound=Record)
Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Administration:
    """One administrator's request. `principal` asks from where `caller` says."""

    register: Register
    recorder: Recorder
    principal: Principal
    caller: Caller

    def check_organizations(self, names: Iterable[str]) -> None:
        """Raise Problem (422) where there is no such one: it would grant nothing, silently."""
        for name in names:
            if self.register.organizations.get(name) is None:
                raise Problem(
                    422, f"organizations: there is no organization {name!r}", field="organizations"
                )

    def take_back(self, history: History[_Row], key: str, kind: str) -> _Row:
        """End the row of `key`, and return what it was. Raises Problem (404) where there is none.

        `kind` is what people call it. Within seconds it counts no more in any console process.
        """
        if (before := history.get(key)) is None:
            raise Problem(404, f"There is no such {kind}.")
        history.put(replace(before, gone=True, changed_by=self.principal.id))
        return before

    def record(
        self,
        action: str,
        description: str,
        target: Mapping[str, str],
        *,
        before: Members | None = None,
        after: Members | None = None,
    ) -> None:
        """Record what was done to `target`; None for what was not there before, or is not after."""
        self.recorder.record(
            action,
            description,
            principal=self.principal,
            caller=self.caller,
            targets=[target],
            changes=changes_of(before, after),
        )

    def record_change(self, change: Change) -> None:
        """Record what was done to a token."""
        self.record(
            change.action,
            change.description,
            change.target,
            before=change.before,
            after=change.after,
        )


def _administration_of(
    administrator: AdministratorOf, services: ServicesOf, caller: CallerOf
) -> Administration:
    return Administration(services.access.register, services.recorder, administrator, caller)


AdministrationOf = Annotated[Administration, Depends(_administration_of)]
"""Annotate a handler's parameter with it: anybody else gets 401 or 403, and that is counted."""
