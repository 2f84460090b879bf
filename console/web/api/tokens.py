"""`/api/v1/tokens`: API tokens for programs. Administrators only; the secret is shown once."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel

from auditbus.console.access import Role
from auditbus.console.access.api_tokens import (
    NewToken,
    make_token,
    shown,
    token_created,
    token_revoked,
)
from auditbus.console.access.sign_ins import TOKEN_ID_LENGTH
from auditbus.console.web.api.administration import AdministrationOf
from auditbus.console.web.api.fields import NOT_FOUND, REFUSALS

__all__ = ["router"]

router = APIRouter(prefix="/tokens", tags=["access"], responses=REFUSALS)
_Id = Annotated[str, Path(pattern=rf"^[0-9a-f]{{{TOKEN_ID_LENGTH}}}$")]


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
            TokenAnswer(**shown(token), last_used_at=used.get(token.id))
            for token in administration.register.tokens.all()
        ]
    )


@router.post("", status_code=201)
def create_token(asked: NewToken, administration: AdministrationOf) -> NewTokenAnswer:
    """Make a token. Keep the answer's `token`: it can't be read again."""
    administration.check_organizations(asked.organizations)
    token, secret = make_token(asked, administration.principal.id)
    administration.register.tokens.put(token)
    administration.record_change(token_created(token))
    return NewTokenAnswer(**shown(token), last_used_at=None, token=secret)


@router.delete("/{token_id}", status_code=204, responses=NOT_FOUND)
def revoke_token(token_id: _Id, administration: AdministrationOf) -> None:
    """Revoke a token for good. Within seconds no console process takes it any more."""
    token = administration.take_back(administration.register.tokens, token_id, "token")
    administration.record_change(token_revoked(token))
