"""Everything that was granted, and what it comes to for one who asks."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

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

_MAX_USES = 10_000


class Register:
    """The tables of access. Safe for many threads; raises what the client raises."""

    def __init__(self, client: Client) -> None:
        """Read and write through `client`."""
        self._client = client
        self._uses: dict[str, datetime] = {}
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

    def token_uses(self) -> dict[str, datetime]:
        """Return when each token was last used, to the hour."""
        found = self._client.query(
            "SELECT id, used_at FROM audit.api_token_uses FINAL", tz_mode="aware"
        )
        return {row[0]: row[1] for row in found.result_rows}

    def token_used(self, id_: str, moment: datetime) -> None:
        """Remember that a token is in use; cheap, as one row an hour is written."""
        hour = moment.replace(minute=0, second=0, microsecond=0)
        if self._uses.get(id_) == hour:
            return
        if len(self._uses) >= _MAX_USES:
            self._uses.clear()
        self._uses[id_] = hour
        self._client.insert("audit.api_token_uses", [[id_, hour]], column_names=["id", "used_at"])
