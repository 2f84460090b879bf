"""`/api/v1/organizations`: named sets of accounts. Administrators only."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from auditbus.console.access.records import Organization
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Ids, Text
from auditbus.console.web.api.fields import changes as changes_between
from auditbus.console.web.callers import AdministratorOf, CallerOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import ServicesOf

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
def organizations(_: AdministratorOf, services: ServicesOf) -> OrganizationsAnswer:
    """List the organizations."""
    found = services.access.register.organizations.all()
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
def put_organization(
    asked: NewOrganization, administrator: AdministratorOf, services: ServicesOf, caller: CallerOf
) -> None:
    """Make an organization, or give the one of this name other accounts."""
    register = services.access.register
    before = register.organizations.get(asked.name)
    after = Organization(
        name=asked.name,
        accounts=tuple(dict.fromkeys(asked.accounts)),
        changed_by=administrator.id,
    )
    register.organizations.put(after)
    services.recorder.record(
        "OrganizationUpdated" if before else "OrganizationCreated",
        f"{'Changed' if before else 'Made'} the organization {after.name}",
        principal=administrator,
        caller=caller,
        targets=[_target(after)],
        changes=changes_between(_shown(before) if before else None, _shown(after)),
    )


@router.delete("/{name:path}", status_code=204, responses=NOT_FOUND)
def delete_organization(
    name: Annotated[str, Path(min_length=1)],
    administrator: AdministratorOf,
    services: ServicesOf,
    caller: CallerOf,
) -> None:
    """Delete an organization: grants that name it show its accounts no more."""
    register = services.access.register
    if (before := register.organizations.get(name)) is None:
        raise Problem(404, "There is no such organization.")
    register.organizations.put(replace(before, gone=True, changed_by=administrator.id))
    services.recorder.record(
        "OrganizationDeleted",
        f"Deleted the organization {name}",
        principal=administrator,
        caller=caller,
        targets=[_target(before)],
        changes=changes_between(_shown(before), None),
    )


def _shown(one: Organization) -> dict[str, object]:
    return {"accounts": list(one.accounts)}


def _target(one: Organization) -> dict[str, str]:
    return {"type": "organization", "id": one.name}
