"""Errors of the commands about destinations.

AuditbusError
├── UnknownDestination       neither configured here nor known to any forwarder
├── DestinationPaused        a replay would send to a destination that is paused
├── ReplayRefused            the destination refuses in a way that only a person can mend
└── Unreachable
    └── ReplayFailed         the destination takes nothing for too long
"""

from __future__ import annotations

from auditbus.runtime.errors import SettingsError, Unreachable
from auditbus.schemas.errors import AuditbusError

__all__ = ["DestinationPaused", "ReplayFailed", "ReplayRefused", "UnknownDestination"]


class UnknownDestination(SettingsError):
    """No destination of that name."""


class DestinationPaused(AuditbusError):
    """The destination is paused, so nothing is sent to it."""


class ReplayRefused(AuditbusError):
    """The destination refuses: credentials, certificates, a closed endpoint."""


class ReplayFailed(Unreachable):
    """The destination has taken nothing for minutes."""
