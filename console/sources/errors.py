"""What can stop an import.

AuditbusError
└── WorkerFailed               a worker process ended or failed: import again
"""

from __future__ import annotations

from auditbus.schemas.errors import AuditbusError

__all__ = ["WorkerFailed"]


class WorkerFailed(AuditbusError):
    """A worker process ended or failed; what it was given is not published."""
