"""What the tables of schemas/clickhouse/0006_access.sql hold, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from auditbus.console.access.principal import Role

__all__ = ["ApiToken", "Grant", "Granted", "Organization", "Record", "Session", "ViewerKey"]

_NEVER = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One row of a history.

    Attributes:
        gone: deleted, revoked or ended.
        changed_by: id of the principal that made this row.
        changed_at: when, by the store's clock; not written.
    """

    gone: bool = False
    changed_by: str = ""
    changed_at: datetime = _NEVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Organization(Record):
    """A named set of accounts."""

    name: str
    accounts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted(Record):
    """What is granted: a role, in accounts and organizations; `actor_id` may be empty."""

    role: Role
    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    actor_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Granted):
    """What `subject` may see, who signs in by OpenID Connect."""

    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken(Granted):
    """A token for programs, and what it may see. Its secret is not kept."""

    id: str
    secret_hash: str = field(repr=False)
    name: str
    expires_at: datetime
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewerKey(Record):
    """A backend's key, and the most that a viewer token signed with it may show.

    Attributes:
        id: the `kid` of its tokens.
        issuer: the `iss` of its tokens.
        public_key: Ed25519, as a JSON Web Key (RFC 8037).
        role: member or auditor.
        any_account: it may speak for every account.
        accounts: else for these,
        organizations: and for those of these.
    """

    id: str
    issuer: str
    public_key: str
    role: Role
    any_account: bool = False
    accounts: tuple[str, ...] = ()
    organizations: tuple[str, ...] = ()
    created_at: datetime
    created_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(Granted):
    """A person's sign-in. The grant is what the provider's claims gave at that moment.

    Attributes:
        cookie_hash: of the cookie's value, which is not kept.
        way: how: `administrator`, `token` or `oidc`.
        subject: which administrator token (its hash), which API token (its id), or who.
        name: for people.
        expires_at: when it ends at the latest.
    """

    cookie_hash: str = field(repr=False)
    way: str
    subject: str = field(repr=False)
    name: str
    expires_at: datetime
