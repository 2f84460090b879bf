"""Who may see what: principals, their grants, and the one predicate bound into every query."""

from auditbus.console.access.principal import Principal, Role, Scope
from auditbus.console.access.visibility import visible

__all__ = ["Principal", "Role", "Scope", "visible"]
