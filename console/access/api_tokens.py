"""API tokens as they are asked for, made and taken back: for the API and the command line alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from auditbus.console.access.names import Ids, Text
from auditbus.console.access.principal import Role
from auditbus.console.access.records import ApiToken
from auditbus.console.access.secret import new_token, secret_hash
from auditbus.console.access.sign_ins import TOKEN_ID_LENGTH

__all__ = [
    "Change",
    "NewToken",
    "changes_of",
    "make_token",
    "revoked",
    "shown",
    "token_created",
    "token_revoked",
]


class NewToken(BaseModel):
    """What a new token may see, and for how long."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: Text
    """What it is for."""
    role: Role = Role.MEMBER
    accounts: Ids = ()
    """Ids of accounts."""
    organizations: Ids = ()
    """Names of organizations, for auditors."""
    actor_id: Text | None = None
    """Actor id in the events whose own actions it may see."""
    expires_in_days: Annotated[int, Field(ge=1, le=366)] = 90


@dataclass(frozen=True, slots=True)
class Change:
    """What is done to a token, as parts of an event; None for what was not there, or is not."""

    action: str
    description: str
    target: Mapping[str, str]
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None


def make_token(asked: NewToken, by: str) -> tuple[ApiToken, str]:
    """Return a token that `by` made, and its secret, which is kept nowhere. Stores nothing."""
    secret, now = new_token(), datetime.now(UTC)
    token = ApiToken(
        id=secret_hash(secret)[:TOKEN_ID_LENGTH],
        secret_hash=secret_hash(secret),
        name=asked.name,
        role=asked.role,
        accounts=asked.accounts,
        organizations=asked.organizations,
        actor_id=asked.actor_id or "",
        expires_at=now + timedelta(days=asked.expires_in_days),
        created_at=now,
        created_by=by,
        changed_by=by,
    )
    return token, secret


def revoked(token: ApiToken, by: str) -> ApiToken:
    """Return the row that ends the token for good."""
    return replace(token, gone=True, changed_by=by)


def token_created(token: ApiToken) -> Change:
    """Return what the log says of a new token: never its secret."""
    description = f"Made the API token {token.name}"
    return Change("TokenCreated", description, _target(token), after=_granted(token))


def token_revoked(token: ApiToken) -> Change:
    """Return what the log says of a token that is revoked."""
    description = f"Revoked the API token {token.name}"
    return Change("TokenRevoked", description, _target(token), before=_granted(token))


def shown(token: ApiToken) -> dict[str, Any]:
    """Return what may be shown of a token."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "accounts": list(token.accounts),
        "organizations": list(token.organizations),
        "actor_id": token.actor_id,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
    }


def changes_of(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """Return the members that differ, as the `changes` of an event."""
    old, new = before or {}, after or {}
    return [
        {"field": name, "before": old.get(name), "after": new.get(name)}
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def _granted(token: ApiToken) -> dict[str, Any]:
    found = shown(token)
    del found["id"], found["created_at"], found["created_by"]
    return {**found, "expires_at": token.expires_at.isoformat()}


def _target(token: ApiToken) -> dict[str, str]:
    return {"type": "api_token", "id": token.id, "name": token.name}
