"""Errors of exporting.

AuditbusError
├── ExportBroken      the answer of the store ended early
├── ExportDamaged     a file is not what its manifest says
├── ExportNotPut      a scheduled export did not reach where it is to go
├── ExportsFull       the files take all the room there is for them
└── TooManyExports    one who asks has as many under way as is allowed
"""

from __future__ import annotations

from auditbus.schemas.errors import AuditbusError

__all__ = ["ExportBroken", "ExportDamaged", "ExportNotPut", "ExportsFull", "TooManyExports"]


class ExportBroken(AuditbusError):
    """The store's answer ended early: what was written is no whole export."""


class ExportDamaged(AuditbusError):
    """A file is missing, or not the one that its manifest describes."""


class ExportNotPut(AuditbusError):
    """A scheduled export did not reach the folder or the object storage where it is to go."""


class ExportsFull(AuditbusError):
    """The files of background exports take all the room there is for them."""


class TooManyExports(AuditbusError):
    """One who asks for another export has as many under way as is allowed."""
