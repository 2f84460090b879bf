"""Exit codes, and how an error of auditbus ends a command: its message, never a traceback."""

from __future__ import annotations

from enum import IntEnum

import click

from auditbus.deploy.local.errors import BrokerUnavailable, ChildFailed, DirectoryInUse
from auditbus.runtime.errors import (
    DeliveryFailed,
    MissingExtra,
    SettingsError,
    StoreRefused,
    Unreachable,
    WorkerFailed,
)
from auditbus.schemas.catalogue import CatalogueError
from auditbus.schemas.errors import AuditbusError

__all__ = ["ExitCode", "Failure"]

_UNREACHABLE = (
    Unreachable,
    DeliveryFailed,
    StoreRefused,
    BrokerUnavailable,
    ChildFailed,
    WorkerFailed,
)
_USAGE = (SettingsError, MissingExtra, CatalogueError, DirectoryInUse)


class ExitCode(IntEnum):
    """What scripts see."""

    DONE = 0
    REFUSED = 1
    """Some input was refused."""
    USAGE = 2
    """Wrong usage, or a wrong setting."""
    UNREACHABLE = 3
    """Kafka or ClickHouse does not answer, or does not let us in."""
    TRUNCATED = 4
    """An export holds the newest of what matched, not all."""


class Failure(click.ClickException):
    """An error of auditbus on its way out of the command."""

    def __init__(self, error: AuditbusError) -> None:
        """Take the message; the class decides the code."""
        super().__init__(str(error))
        self.exit_code = _exit_code(error)


def _exit_code(error: AuditbusError) -> ExitCode:
    if isinstance(error, _UNREACHABLE):
        return ExitCode.UNREACHABLE
    if isinstance(error, _USAGE):
        return ExitCode.USAGE
    return ExitCode.REFUSED
