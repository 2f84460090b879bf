"""The root of every auditbus error, and the one that says why an event is refused.

The rest of the tree is drawn in `auditbus.runtime.errors`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

__all__ = ["AuditbusError", "InvalidEvent", "RejectCode"]


class AuditbusError(Exception):
    """Root of the tree. `retriable` says whether the same call may succeed later."""

    retriable: ClassVar[bool] = False


class RejectCode(StrEnum):
    """Why an event is refused; also the dead letter's error code and a metric label (bounded)."""

    TOMBSTONE = "tombstone"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    NOT_AN_OBJECT = "not_an_object"
    TOO_DEEP = "too_deep"
    REPEATED_KEY = "repeated_key"
    RESERVED_NAME = "reserved_name"
    UNSUPPORTED_VERSION = "unsupported_version"
    MISSING_FIELD = "missing_field"
    WRONG_TYPE = "wrong_type"
    INVALID_VALUE = "invalid_value"


class InvalidEvent(AuditbusError):
    """An event breaks the schema.

    `field` is a dotted path such as `account.id` or `targets[0].name`, or None where no single
    field is to blame. `reason` never quotes the event's values beyond what names the fault.
    """

    def __init__(self, code: RejectCode, field: str | None, reason: str) -> None:
        """Keep the parts; the message is `field: reason`."""
        super().__init__(f"{field}: {reason}" if field else reason)
        self.code = code
        self.field = field
        self.reason = reason
