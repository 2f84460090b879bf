"""Errors of the embedded store, by ClickHouse's own codes.

AuditbusError
├── StoreError                     answered to the client with its ClickHouse code
│   ├── EngineError                the engine's own: code and message as it gave them
│   ├── Refused                    the store does not allow this
│   ├── BadRequest                 not a request that ClickHouse's HTTP interface knows
│   └── Busy            retriable  no turn became free in time
└── StoreInUse                     another process owns the directory
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import ClassVar

from auditbus.schemas.errors import AuditbusError

__all__ = ["BadRequest", "Busy", "EngineError", "ErrorCode", "Refused", "StoreError", "StoreInUse"]


class ErrorCode(IntEnum):
    """Codes that this store gives or maps to a status: ClickHouse `src/Common/ErrorCodes.cpp`."""

    UNSUPPORTED_METHOD = 1
    BAD_ARGUMENTS = 36
    UNKNOWN_FUNCTION = 46
    UNKNOWN_IDENTIFIER = 47
    NOT_IMPLEMENTED = 48
    UNKNOWN_TYPE = 50
    UNKNOWN_TABLE = 60
    SYNTAX_ERROR = 62
    UNKNOWN_FORMAT = 73
    UNKNOWN_DATABASE = 81
    UNKNOWN_SETTING = 115
    TIMEOUT_EXCEEDED = 159
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    MEMORY_LIMIT_EXCEEDED = 241
    NOT_ENOUGH_SPACE = 243
    CANNOT_DECOMPRESS = 271
    UNKNOWN_EXCEPTION = 1002
    QUERY_IS_TOO_LARGE = 307
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516


class StoreError(AuditbusError):
    """An answer that is an error; `code` is ClickHouse's."""

    def __init__(self, code: int, reason: str) -> None:
        """Keep both; `reason` may quote the statement: it is for the client and never logged."""
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Refused(StoreError):
    """The store does not allow this."""


class BadRequest(StoreError):
    """Not a request that ClickHouse's HTTP interface knows."""


class Busy(StoreError):
    """No turn became free in time: the same request may succeed later."""

    retriable: ClassVar[bool] = True

    def __init__(self, reason: str) -> None:
        """Use the code for which clients retry reads."""
        super().__init__(ErrorCode.TOO_MANY_SIMULTANEOUS_QUERIES, reason)


class EngineError(StoreError):
    """The engine's own error."""

    _HEAD = re.compile(r"Code: (\d+)\. DB::(?:\w*)Exception: ")

    @classmethod
    def parse(cls, message: str) -> EngineError:
        """Read code and text; unlike a server, chDB may put words of its own before `Code: N.`."""
        head = cls._HEAD.search(message)
        if head is None:
            return cls(ErrorCode.UNKNOWN_EXCEPTION, message)
        return cls(int(head.group(1)), message[head.end() :].rstrip())


class StoreInUse(AuditbusError):
    """Another process owns the directory; the message names its process id."""
