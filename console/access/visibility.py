"""What a principal may see, as a condition. Every query of the console is bound to it.

There is no other place that decides: a filter that a person asks for only narrows it further.
"""

from __future__ import annotations

from auditbus.console.access.principal import Principal, Role, Scope
from auditbus.console.query.predicate import Predicate

__all__ = ["covers", "visible"]

_NOTHING = Predicate("false")


def visible(principal: Principal, scope: Scope) -> Predicate:
    """Return the condition on a row of `audit.log` that holds for what may be seen in `scope`.

    A scope that the principal has nothing in shows nothing.
    """
    if scope not in principal.scopes:
        return _NOTHING
    seen = _seen(principal, scope)
    if principal.bounds is None:
        return seen
    return seen & Predicate(
        "account IN {bound_accounts:Array(String)}", {"bound_accounts": sorted(principal.bounds)}
    )


def _seen(principal: Principal, scope: Scope) -> Predicate:
    if scope is Scope.MINE:
        return Predicate("actor_id = {seen_actor:String}", {"seen_actor": principal.actor_id})
    if scope is Scope.ORGANIZATION and principal.role is Role.ADMINISTRATOR:
        return Predicate("true")
    accounts = principal.accounts
    if scope is Scope.ORGANIZATION:
        accounts |= principal.organization_accounts
    return Predicate(
        "account IN {seen_accounts:Array(String)}", {"seen_accounts": sorted(accounts)}
    )


def covers(now: Predicate, then: Predicate) -> bool:
    """Tell whether `now` shows all that `then` showed: both are results of `visible`."""
    if now.sql == "true":
        return True
    if now.sql != then.sql:
        return False
    return all(_includes(value, then.parameters[name]) for name, value in now.parameters.items())


def _includes(now: object, then: object) -> bool:
    if isinstance(now, list) and isinstance(then, list):
        return set(now) >= set(then)
    return now == then
