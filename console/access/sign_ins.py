"""Signing in: by a token's secret, by a session's cookie. What it shows is asked for each time.

So a token that is revoked, a grant or an organization that changes takes effect in every console
process within `REMEMBERED_S` seconds, in sessions too.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from auditbus.console.access.principal import Principal, Role
from auditbus.console.access.records import ApiToken, Granted, Session
from auditbus.console.access.register import Register
from auditbus.console.access.secret import TOKEN_PREFIX, new_secret, secret_hash

__all__ = ["TOKEN_ID_LENGTH", "Opened", "SignIns", "token_id"]

TOKEN_ID_LENGTH = 16
_ADMINISTRATOR = Principal("token:administrator", "Administrator", Role.ADMINISTRATOR)


def token_id(secret: str) -> str:
    """Return the id of the token whose secret this is: how its hash begins. It tells nothing."""
    return secret_hash(secret)[:TOKEN_ID_LENGTH]


@dataclass(frozen=True, slots=True)
class Opened:
    """A session that has begun; `cookie` is its secret, kept by the browser alone."""

    cookie: str = field(repr=False)
    principal: Principal
    seconds_left: int


class SignIns:
    """Safe for many threads; raises what the store's client raises."""

    def __init__(
        self,
        register: Register,
        administrator_token: str | None,
        session_s: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`administrator_token` is the first one, from the settings."""
        self._register = register
        self._administrator = secret_hash(administrator_token) if administrator_token else ""
        self._session_s = session_s
        self._now = now

    def by_secret(self, secret: str) -> Principal | None:
        """Return whose token it is; None where it is none, has expired or was revoked."""
        if self._is_administrator(secret_hash(secret)):
            return _ADMINISTRATOR
        if (token := self._token(secret)) is None:
            return None
        self._register.token_used(token.id, self._now())
        return self._principal_of(token)

    def by_cookie(self, cookie: str) -> Principal | None:
        """Return whose session it is; None where it is none, has expired or ended."""
        session = self._register.sessions.get(secret_hash(cookie))
        if session is None or session.expires_at <= self._now():
            return None
        match session.way:
            case "administrator":
                return _ADMINISTRATOR if self._is_administrator(session.subject) else None
            case "token":
                token = self._alive(self._register.tokens.get(session.subject))
                return None if token is None else self._principal_of(token)
            case _:
                return self._person(session.subject, session.name, session)

    def open_by_secret(self, secret: str) -> Opened | None:
        """Begin a session of a token's owner; it ends with the token. None where it is none."""
        if self._is_administrator(hashed := secret_hash(secret)):
            return self._open("administrator", hashed, _ADMINISTRATOR)
        if token := self._token(secret):
            return self._open("token", token.id, self._principal_of(token), token.expires_at)
        return None

    def open_person(self, subject: str, name: str, claimed: Granted) -> Opened:
        """Begin a session of one whom the provider vouches for; `claimed` is what claims grant."""
        return self._open("oidc", subject, self._person(subject, name, claimed), claimed=claimed)

    def close(self, cookie: str) -> Principal | None:
        """End the session for good; return whose it was, None where there was none."""
        principal = self.by_cookie(cookie)
        session = self._register.sessions.get(secret_hash(cookie))
        if session is not None:
            self._register.sessions.put(replace(session, gone=True))
        return principal

    def _open(
        self,
        way: str,
        subject: str,
        principal: Principal,
        not_after: datetime | None = None,
        claimed: Granted | None = None,
    ) -> Opened:
        cookie = new_secret()
        expires_at = self._now() + timedelta(seconds=self._session_s)
        if not_after is not None:
            expires_at = min(expires_at, not_after)
        granted = claimed or Granted(role=Role.MEMBER)  # a token's grant is asked for each time
        self._register.sessions.put(
            Session(
                cookie_hash=secret_hash(cookie),
                way=way,
                subject=subject,
                name=principal.name,
                role=granted.role,
                accounts=granted.accounts,
                organizations=granted.organizations,
                actor_id=granted.actor_id,
                expires_at=expires_at,
                changed_by=principal.id,
            )
        )
        left_s = int((expires_at - self._now()).total_seconds())
        return Opened(cookie, principal, left_s)

    def _is_administrator(self, hashed: str) -> bool:
        return self._administrator != "" and hmac.compare_digest(self._administrator, hashed)

    def _token(self, secret: str) -> ApiToken | None:
        if not secret.startswith(TOKEN_PREFIX):
            return None
        token = self._register.tokens.get(token_id(secret))
        if token is None or not hmac.compare_digest(token.secret_hash, secret_hash(secret)):
            return None
        return self._alive(token)

    def _alive(self, token: ApiToken | None) -> ApiToken | None:
        return token if token is not None and token.expires_at > self._now() else None

    def _principal_of(self, token: ApiToken) -> Principal:
        return self._register.principal(f"token:{token.id}", token.name, [token])

    def _person(self, subject: str, name: str, claimed: Granted) -> Principal:
        granted = self._register.grants.get(subject)
        grants = [claimed] if granted is None else [granted, claimed]
        return self._register.principal(f"oidc:{subject}", name, grants)
