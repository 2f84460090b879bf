"""Errors of exporting.

AuditbusError
├── ExportBroken      the answer of the store ended early
└── ExportDamaged     a file is not what its manifest says
"""

from __future__ import annotations

from auditbus.schemas.errors import AuditbusError

__all__ = ["ExportBroken", "ExportDamaged"]


class ExportBroken(AuditbusError):
    """The store's answer ended early: what was written is no whole export."""


class ExportDamaged(AuditbusError):
    """A file is missing, or not the one that its manifest describes."""
