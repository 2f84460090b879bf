"""From where a request comes, and what only administrators may do, as handlers ask for it."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from auditbus.console.access import Caller, Principal, Role
from auditbus.console.web.asking import PrincipalOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf
from auditbus.console.web.sign_in.ways import caller_of

__all__ = ["AdministratorOf", "CallerOf"]


CallerOf = Annotated[Caller, Depends(caller_of)]
"""Annotate a handler's parameter with it, to record what it does."""


def _administrator_of(principal: PrincipalOf, services: ServicesOf, caller: CallerOf) -> Principal:
    if principal.role is not Role.ADMINISTRATOR:
        services.access.refusals.count("Only administrators may do this.", principal, caller)
        raise Problem(403, "Only administrators may do this.")
    return principal


AdministratorOf = Annotated[Principal, Depends(_administrator_of)]
"""Annotate a handler's parameter with it: anybody else gets 401 or 403, and that is counted."""
