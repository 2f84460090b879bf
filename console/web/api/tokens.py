"""`/api/v1/tokens`: API tokens for programs. Administrators only; the secret is shown once."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from auditbus.console.access import Role
from auditbus.console.access.records import ApiToken
from auditbus.console.access.secret import new_token, secret_hash
from auditbus.console.access.sign_ins import TOKEN_ID_LENGTH
from auditbus.console.web.api.administration import AdministrationOf
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS, Body, Ids, Text

__all__ = ["router"]

router = APIRouter(prefix="/tokens", tags=["access"], responses=REFUSALS)
_Id = Annotated[str, Path(pattern=rf"^[0-9a-f]{{{TOKEN_ID_LENGTH}}}$")]


class NewToken(Body):
    """What a new token may see, and for how long."""

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


class TokenAnswer(BaseModel):
    """A token, without its secret."""

    id: str
    name: str
    role: Role
    accounts: list[str]
    organizations: list[str]
    actor_id: str
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    """To the hour."""


class TokensAnswer(BaseModel):
    """Tokens that are not revoked; some may have expired."""

    tokens: list[TokenAnswer]


class NewTokenAnswer(TokenAnswer):
    """A new token."""

    token: str
    """The secret. It is shown only here: nobody can read it again."""


@router.get("")
def tokens(administration: AdministrationOf) -> TokensAnswer:
    """List the tokens that are not revoked."""
    used = administration.register.token_uses()
    return TokensAnswer(
        tokens=[
            TokenAnswer(**_shown(token), last_used_at=used.get(token.id))
            for token in administration.register.tokens.all()
        ]
    )


@router.post("", status_code=201)
def create_token(asked: NewToken, administration: AdministrationOf) -> NewTokenAnswer:
    """Make a token. Keep the answer's `token`: it can't be read again."""
    administration.check_organizations(asked.organizations)
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
        created_by=administration.principal.id,
        changed_by=administration.principal.id,
    )
    administration.register.tokens.put(token)
    administration.record(
        "TokenCreated",
        f"Made the API token {token.name}",
        _target(token),
        after=_granted(token),
    )
    return NewTokenAnswer(**_shown(token), last_used_at=None, token=secret)


@router.delete("/{token_id}", status_code=204, responses=NOT_FOUND)
def revoke_token(token_id: _Id, administration: AdministrationOf) -> None:
    """Revoke a token for good. Within seconds no console process takes it any more."""
    token = administration.take_back(administration.register.tokens, token_id, "token")
    administration.record(
        "TokenRevoked",
        f"Revoked the API token {token.name}",
        _target(token),
        before=_granted(token),
    )


def _shown(token: ApiToken) -> dict[str, Any]:
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


def _granted(token: ApiToken) -> dict[str, Any]:
    shown = _shown(token)
    del shown["id"], shown["created_at"], shown["created_by"]
    return {**shown, "expires_at": token.expires_at.isoformat()}


def _target(token: ApiToken) -> dict[str, str]:
    return {"type": "api_token", "id": token.id, "name": token.name}
