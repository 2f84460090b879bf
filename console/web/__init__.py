"""The console as a process: the audit log screen at `/`, the JSON API under `/api/v1`."""

from auditbus.console.web.app import create_app
from auditbus.console.web.role import run
from auditbus.console.web.services import Services

__all__ = ["Services", "create_app", "run"]
