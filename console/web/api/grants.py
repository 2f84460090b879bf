"""`/api/v1/grants`: what people may see who sign in by OpenID Connect. Administrators only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from auditbus.console.access import Role
from auditbus.console.access.records import Grant
from auditbus.console.web.api.administration import AdministrationOf
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Ids, Text

__all__ = ["router"]

router = APIRouter(prefix="/grants", tags=["access"], responses=REFUSALS)


class NewGrant(Body):
    """What one person may see."""

    subject: Text
    """The person, by the claim that the setting `console.oidc.subject_claim` names."""
    role: Role = Role.MEMBER
    accounts: Ids = ()
    """Ids of accounts."""
    organizations: Ids = ()
    """Names of organizations, for auditors."""
    actor_id: Text | None = None
    """The person's actor id in the events."""


class GrantAnswer(BaseModel):
    """A grant."""

    subject: str
    role: Role
    accounts: list[str]
    organizations: list[str]
    actor_id: str
    changed_at: datetime
    changed_by: str


class GrantsAnswer(BaseModel):
    """All grants. What claims give by the settings is not among them."""

    grants: list[GrantAnswer]


@router.get("")
def grants(administration: AdministrationOf) -> GrantsAnswer:
    """List the grants."""
    found = administration.register.grants.all()
    return GrantsAnswer(
        grants=[
            GrantAnswer(
                subject=grant.subject,
                role=grant.role,
                accounts=list(grant.accounts),
                organizations=list(grant.organizations),
                actor_id=grant.actor_id,
                changed_at=grant.changed_at,
                changed_by=grant.changed_by,
            )
            for grant in found
        ]
    )


@router.post("", status_code=204)
def put_grant(asked: NewGrant, administration: AdministrationOf) -> None:
    """Grant, in the place of what was granted to this person before."""
    administration.check_organizations(asked.organizations)
    before = administration.register.grants.get(asked.subject)
    after = Grant(
        subject=asked.subject,
        role=asked.role,
        accounts=tuple(dict.fromkeys(asked.accounts)),
        organizations=tuple(dict.fromkeys(asked.organizations)),
        actor_id=asked.actor_id or "",
        changed_by=administration.principal.id,
    )
    administration.register.grants.put(after)
    administration.record(
        "GrantUpdated" if before else "GrantCreated",
        f"{'Changed' if before else 'Made'} the grant of {after.subject}",
        _target(after),
        before=_shown(before) if before else None,
        after=_shown(after),
    )


@router.delete("/{subject:path}", status_code=204, responses=NOT_FOUND)
def delete_grant(
    subject: Annotated[str, Path(min_length=1)],
    administration: AdministrationOf,
) -> None:
    """Take back what was granted; within seconds, also from sessions that have begun."""
    before = administration.take_back(administration.register.grants, subject, "grant")
    administration.record(
        "GrantDeleted",
        f"Took back the grant of {subject}",
        _target(before),
        before=_shown(before),
    )


def _shown(grant: Grant) -> dict[str, object]:
    return {
        "role": grant.role.value,
        "accounts": list(grant.accounts),
        "organizations": list(grant.organizations),
        "actor_id": grant.actor_id,
    }


def _target(grant: Grant) -> dict[str, str]:
    return {"type": "grant", "id": grant.subject}
