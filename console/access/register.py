"""Everything that was granted, and what it comes to for one who asks."""

from __future__ import annotations

from collections.abc import Iterable

from clickhouse_connect.driver.client import Client

from auditbus.console.access.history import History
from auditbus.console.access.principal import RANKS, Principal, Role
from auditbus.console.access.records import (
    ApiToken,
    Grant,
    Granted,
    Organization,
    Session,
    ViewerKey,
)

__all__ = ["Register"]


class Register:
    """The tables of access. Safe for many threads; raises what the client raises."""

    def __init__(self, client: Client) -> None:
        """Read and write through `client`."""
        self.organizations = History(client, "audit.organizations", Organization, "name")
        self.grants = History(client, "audit.grants", Grant, "subject")
        self.tokens = History(client, "audit.api_tokens", ApiToken, "id", final=True)
        self.viewer_keys = History(client, "audit.viewer_keys", ViewerKey, "id", final=True)
        self.sessions = History(client, "audit.sessions", Session, "cookie_hash", final=True)

    def principal(self, id_: str, name: str, grants: Iterable[Granted]) -> Principal:
        """Return who all `grants` together make. Without any: a member of nothing.

        Grants are never more together than each alone: an organization counts only by a grant that
        is auditor of it, as a member sees nothing by one.
        """
        grants = tuple(grants)
        role = max((grant.role for grant in grants), key=RANKS.__getitem__, default=Role.MEMBER)
        named = (
            name
            for grant in grants
            if grant.role is not Role.MEMBER
            for name in grant.organizations
        )
        return Principal(
            id_,
            name,
            role,
            actor_id=next((grant.actor_id for grant in grants if grant.actor_id), ""),
            accounts=frozenset(account for grant in grants for account in grant.accounts),
            organization_accounts=self.accounts_of(named),
        )

    def accounts_of(self, organizations: Iterable[str]) -> frozenset[str]:
        """Return the accounts of these organizations; one that does not exist has none."""
        found = (self.organizations.get(name) for name in set(organizations))
        return frozenset(account for one in found if one is not None for account in one.accounts)
