"""Who may see what: principals, their grants, and the one predicate bound into every query."""

from auditbus.console.access.attempts import Attempts
from auditbus.console.access.history import REMEMBERED_S
from auditbus.console.access.principal import Principal, Role, Scope
from auditbus.console.access.recorder import Caller, Recorder, new_producer
from auditbus.console.access.refusals import Refusals
from auditbus.console.access.register import Register
from auditbus.console.access.sign_ins import SignIns
from auditbus.console.access.viewer import ViewerTokens
from auditbus.console.access.visibility import covers, visible

__all__ = [
    "REMEMBERED_S",
    "Attempts",
    "Caller",
    "Principal",
    "Recorder",
    "Refusals",
    "Register",
    "Role",
    "Scope",
    "SignIns",
    "ViewerTokens",
    "covers",
    "new_producer",
    "visible",
]
