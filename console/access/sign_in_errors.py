"""Why a sign-in failed. What people are told says nothing that helps to guess."""

from __future__ import annotations

from auditbus.runtime.errors import AuditbusError, Unreachable

__all__ = ["ProviderUnreachable", "SignInRefused"]


class SignInRefused(AuditbusError):
    """It is refused. The message is for people; `reason` for the operator, in the log."""

    def __init__(self, message: str, reason: str) -> None:
        """Keep both."""
        super().__init__(message)
        self.reason = reason


class ProviderUnreachable(Unreachable):
    """The OpenID Connect provider does not answer, or not as one."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__("The sign-in provider does not answer. Try again in a moment.")
