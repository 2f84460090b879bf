"""Errors of local mode.

AuditbusError
└── LocalModeError
    ├── BrokerUnavailable      no Java, no Maven, or the broker's jars could not be fetched
    ├── DirectoryInUse         another `auditbus up` owns the data directory
    ├── NotRunning             nothing runs on the data directory
    ├── ChildFailed            a child ended, or did not become ready in its time
    └── StartInterrupted       asked to stop before everything was ready
"""

from auditbus.schemas.errors import AuditbusError

__all__ = [
    "BrokerUnavailable",
    "ChildFailed",
    "DirectoryInUse",
    "LocalModeError",
    "NotRunning",
    "StartInterrupted",
]


class LocalModeError(AuditbusError):
    """Something that only running everything on one machine can hit."""


class BrokerUnavailable(LocalModeError):
    """Apache Kafka cannot be run here; the message says what to install."""


class DirectoryInUse(LocalModeError):
    """The data directory belongs to a running pipeline; the message names its process id."""


class ChildFailed(LocalModeError):
    """A child process ended or stayed unready during start; the message names the child."""


class NotRunning(LocalModeError):
    """No pipeline runs on the data directory; the message says how to start it."""


class StartInterrupted(LocalModeError):
    """The supervisor was asked to stop while it was starting children."""
