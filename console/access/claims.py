"""From the claims of an OpenID Connect provider to a person and what the settings grant it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auditbus.console.access.principal import RANKS, Role
from auditbus.console.access.records import Granted
from auditbus.console.access.sign_in_errors import SignInRefused
from auditbus.runtime.settings import OidcSettings

__all__ = ["Person", "person_of"]

_MAX_TEXT = 255  # of `sub`, Core §2
_MAX_VALUES = 10_000


@dataclass(frozen=True, slots=True)
class Person:
    """Who the provider says has signed in. `subject` is what grants name."""

    subject: str
    name: str
    claimed: Granted


def person_of(claims: Mapping[str, Any], settings: OidcSettings) -> Person:
    """Return who this is. Raises SignInRefused where the claims do not name anybody."""
    subject = _text(claims, settings.subject_claim)
    if not subject:
        raise SignInRefused(
            "The provider does not say who you are.", f"no claim {settings.subject_claim}"
        )
    if settings.subject_claim == "email" and claims.get("email_verified") is not True:
        # Else whoever can enter another's address at the provider would be that person.
        raise SignInRefused("Your e-mail address is not verified.", "email_verified")
    return Person(
        subject, _text(claims, settings.name_claim) or subject, _granted(claims, settings)
    )


def _granted(claims: Mapping[str, Any], settings: OidcSettings) -> Granted:
    rules = [rule for rule in settings.rules if rule.value in _values(claims, rule.claim)]
    role = max((Role(rule.role) for rule in rules), key=RANKS.__getitem__, default=Role.MEMBER)
    accounts = [*_values(claims, settings.accounts_claim)]
    organizations = [*_values(claims, settings.organizations_claim)]
    for rule in rules:
        accounts += rule.accounts
        if Role(rule.role) is not Role.MEMBER:  # a member sees nothing by an organization
            organizations += rule.organizations
    return Granted(
        role=role,
        accounts=tuple(dict.fromkeys(accounts)),
        organizations=tuple(dict.fromkeys(organizations)),
        actor_id=_text(claims, settings.actor_id_claim),
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name) if name else None
    return value.strip() if isinstance(value, str) and len(value) <= _MAX_TEXT else ""


def _values(claims: Mapping[str, Any], name: str) -> list[str]:
    value = claims.get(name) if name else None
    values = value if isinstance(value, list) else [value]
    return [item for item in values[:_MAX_VALUES] if isinstance(item, str) and item]
