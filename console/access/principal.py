"""Who asks, and what that one was granted. Nothing granted, nothing seen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["RANKS", "Principal", "Role", "Scope"]


class Role(StrEnum):
    """What a principal may read beyond its own actions."""

    MEMBER = "member"  # its own actions, and those in its accounts
    AUDITOR = "auditor"  # everything in its accounts and its organizations' accounts
    ADMINISTRATOR = "administrator"  # everything; grants, tokens, retention


RANKS = {role: rank for rank, role in enumerate(Role)}
"""How much a role may, the least first."""


class Scope(StrEnum):
    """The switch of the screen: which of what may be seen is looked at."""

    MINE = "mine"  # what I have done
    ACCOUNTS = "accounts"  # what was done in my accounts
    ORGANIZATION = "organization"  # what everyone in my organizations has done


@dataclass(frozen=True, slots=True)
class Principal:
    """One who asks.

    Attributes:
        id: unique over every kind of sign-in; the actor id in the console's own events.
        name: for people.
        role: see `Role`.
        actor_id: its id as an actor in the events; empty where it is none.
        accounts: account ids granted directly.
        organization_accounts: account ids of the organizations it was granted.
        bounds: accounts outside which it sees nothing in any scope; None for no such bounds.
    """

    id: str
    name: str
    role: Role
    actor_id: str = ""
    accounts: frozenset[str] = frozenset()
    organization_accounts: frozenset[str] = frozenset()
    bounds: frozenset[str] | None = None

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes in which anything can be seen, the widest first."""
        offered = {
            Scope.ORGANIZATION: self.role is Role.ADMINISTRATOR
            or (self.role is Role.AUDITOR and bool(self.organization_accounts | self.accounts)),
            Scope.ACCOUNTS: bool(self.accounts),
            Scope.MINE: bool(self.actor_id),
        }
        return tuple(scope for scope, is_offered in offered.items() if is_offered)
