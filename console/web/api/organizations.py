"""`/api/v1/organizations`: named sets of accounts. Administrators only."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from auditbus.console.access.records import Organization
from auditbus.console.web.api.administration import AdministrationOf
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Ids, Text

__all__ = ["router"]

router = APIRouter(prefix="/organizations", tags=["access"], responses=REFUSALS)


class NewOrganization(Body):
    """A name for a set of accounts."""

    name: Text
    accounts: Ids
    """Ids of accounts."""


class OrganizationAnswer(BaseModel):
    """An organization."""

    name: str
    accounts: list[str]
    changed_at: datetime
    changed_by: str


class OrganizationsAnswer(BaseModel):
    """All organizations."""

    organizations: list[OrganizationAnswer]


@router.get("")
def organizations(administration: AdministrationOf) -> OrganizationsAnswer:
    """List the organizations."""
    found = administration.register.organizations.all()
    return OrganizationsAnswer(
        organizations=[
            OrganizationAnswer(
                name=one.name,
                accounts=list(one.accounts),
                changed_at=one.changed_at,
                changed_by=one.changed_by,
            )
            for one in found
        ]
    )


@router.post("", status_code=204)
def put_organization(asked: NewOrganization, administration: AdministrationOf) -> None:
    """Make an organization, or give the one of this name other accounts."""
    before = administration.register.organizations.get(asked.name)
    after = Organization(
        name=asked.name,
        accounts=tuple(dict.fromkeys(asked.accounts)),
        changed_by=administration.principal.id,
    )
    administration.register.organizations.put(after)
    administration.record(
        "OrganizationUpdated" if before else "OrganizationCreated",
        f"{'Changed' if before else 'Made'} the organization {after.name}",
        _target(after),
        before=_shown(before) if before else None,
        after=_shown(after),
    )


@router.delete("/{name:path}", status_code=204, responses=NOT_FOUND)
def delete_organization(
    name: Annotated[str, Path(min_length=1)],
    administration: AdministrationOf,
) -> None:
    """Delete an organization: grants that name it show its accounts no more."""
    before = administration.take_back(administration.register.organizations, name, "organization")
    administration.record(
        "OrganizationDeleted",
        f"Deleted the organization {name}",
        _target(before),
        before=_shown(before),
    )


def _shown(one: Organization) -> dict[str, object]:
    return {"accounts": list(one.accounts)}


def _target(one: Organization) -> dict[str, str]:
    return {"type": "organization", "id": one.name}
