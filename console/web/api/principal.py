"""`/api/v1/principal`: who asks, and what that one may see."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from auditbus.console.access import Role, Scope
from auditbus.console.web.api.answers import READING
from auditbus.console.web.asking import PrincipalOf

__all__ = ["router"]

router = APIRouter(prefix="/principal", tags=["access"], responses=READING)


class PrincipalAnswer(BaseModel):
    """Who asks."""

    id: str
    name: str
    role: Role
    actor_id: str
    """Its id as an actor in the events; empty where it is none."""
    scopes: list[Scope]
    """The scopes in which anything can be seen, the widest first."""
    accounts: list[str]
    """Accounts granted directly. An administrator sees all without being granted any."""
    organization_accounts: list[str]
    """Accounts of the organizations that were granted."""


@router.get("")
def principal(asking: PrincipalOf) -> PrincipalAnswer:
    """Return who asks and what that one may see."""
    return PrincipalAnswer(
        id=asking.id,
        name=asking.name,
        role=asking.role,
        actor_id=asking.actor_id,
        scopes=list(asking.scopes),
        accounts=sorted(asking.accounts),
        organization_accounts=sorted(asking.organization_accounts),
    )
