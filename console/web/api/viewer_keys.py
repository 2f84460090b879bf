"""`/api/v1/viewer-keys`: the backends whose viewer tokens are believed. Administrators only."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, StringConstraints

from auditbus.console.access import Role
from auditbus.console.access.records import ViewerKey
from auditbus.console.access.viewer import public_key_of
from auditbus.console.web.api.administration import AdministrationOf
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Ids, Text
from auditbus.console.web.problems import Problem

__all__ = ["router"]

router = APIRouter(prefix="/viewer-keys", tags=["access"], responses=REFUSALS)


class NewViewerKey(Body):
    """A backend's public key, and the most that its viewer tokens may show."""

    issuer: Text
    """What its tokens say as `iss`."""
    public_key: Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
    """Ed25519, as PEM or as a JSON Web Key."""
    role: Literal["member", "auditor"] = "member"
    any_account: bool = False
    """It may speak for every account; else for those that are named."""
    accounts: Ids = ()
    organizations: Ids = ()


class ViewerKeyAnswer(BaseModel):
    """A key; `id` is the `kid` of its tokens."""

    id: str
    issuer: str
    public_key: str
    role: Role
    any_account: bool
    accounts: list[str]
    organizations: list[str]
    created_at: datetime
    created_by: str


class ViewerKeysAnswer(BaseModel):
    """The keys that are not revoked."""

    viewer_keys: list[ViewerKeyAnswer]


@router.get("")
def viewer_keys(administration: AdministrationOf) -> ViewerKeysAnswer:
    """List the keys that are not revoked."""
    found = administration.register.viewer_keys.all()
    return ViewerKeysAnswer(viewer_keys=[ViewerKeyAnswer(**_shown(key)) for key in found])


@router.post("", status_code=201)
def create_viewer_key(asked: NewViewerKey, administration: AdministrationOf) -> ViewerKeyAnswer:
    """Believe this backend's viewer tokens from now on."""
    administration.check_organizations(asked.organizations)
    try:
        public_key = public_key_of(asked.public_key)
    except ValueError as error:
        raise Problem(422, f"public_key: {error}", field="public_key") from None
    key = ViewerKey(
        id=secrets.token_hex(8),
        issuer=asked.issuer,
        public_key=public_key,
        role=Role(asked.role),
        any_account=asked.any_account,
        accounts=asked.accounts,
        organizations=asked.organizations,
        created_at=datetime.now(UTC),
        created_by=administration.principal.id,
        changed_by=administration.principal.id,
    )
    administration.register.viewer_keys.put(key)
    administration.record(
        "ViewerKeyCreated",
        f"Made a viewer key for {key.issuer}",
        _target(key),
        after=_granted(key),
    )
    return ViewerKeyAnswer(**_shown(key))


@router.delete("/{key_id}", status_code=204, responses=NOT_FOUND)
def revoke_viewer_key(
    key_id: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")],
    administration: AdministrationOf,
) -> None:
    """Revoke a key for good, and with it every viewer token that it signed."""
    key = administration.take_back(administration.register.viewer_keys, key_id, "key")
    administration.record(
        "ViewerKeyRevoked",
        f"Revoked a viewer key of {key.issuer}",
        _target(key),
        before=_granted(key),
    )


def _shown(key: ViewerKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "issuer": key.issuer,
        "public_key": key.public_key,
        "role": key.role,
        "any_account": key.any_account,
        "accounts": list(key.accounts),
        "organizations": list(key.organizations),
        "created_at": key.created_at,
        "created_by": key.created_by,
    }


def _granted(key: ViewerKey) -> dict[str, Any]:
    names = ("issuer", "role", "any_account", "accounts", "organizations")
    return {name: value for name, value in _shown(key).items() if name in names}


def _target(key: ViewerKey) -> dict[str, str]:
    return {"type": "viewer_key", "id": key.id, "name": key.issuer}
