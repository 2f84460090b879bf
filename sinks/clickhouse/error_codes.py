"""ClickHouse's error codes, and what each asks of the sink.

The names and numbers are the server's own (`SELECT name, code FROM system.errors`). A code that is
not listed is retried: that loses nothing, and a consumer that stands still raises an alarm, while
taking an unknown fault of the store for a fault of the rows would empty the topic into the dead
letters.
"""

from __future__ import annotations

import re
from enum import Enum, IntEnum

from clickhouse_connect.driver.exceptions import Error

__all__ = ["ServerCode", "Verdict", "classify", "code_name", "describe", "reason_of"]

_MAX_TEXT = 300
# From here on a message quotes the row: an e-mail address or an IP must not reach a log.
_QUOTES_ROW = re.compile(r"Column values:|Cannot parse|Row \d+:|:? [Ww]hile (?:executing|process)")
_PREFIX = re.compile(r"^(?:.*?Code: \d+\. )?(?:Code: \d+\. )?(?:DB::Exception: )+", re.DOTALL)


class Verdict(Enum):
    """What to do about a failed insert."""

    RETRY = "retry"
    """The store's trouble, which may pass: send the same bytes again."""
    POISON = "poison"
    """A row's fault: bisect, and dead-letter the row."""
    STOP = "stop"
    """The store's schema, rights or settings: a person must act."""


class ServerCode(IntEnum):
    """The codes that are not simply retried, and the common ones that are."""

    CANNOT_PARSE_TEXT = 6
    CANNOT_PARSE_ESCAPE_SEQUENCE = 25
    CANNOT_PARSE_QUOTED_STRING = 26
    CANNOT_PARSE_INPUT_ASSERTION_FAILED = 27
    ATTEMPT_TO_READ_AFTER_EOF = 32
    CANNOT_READ_ALL_DATA = 33
    CANNOT_PARSE_DATE = 38
    CANNOT_PARSE_DATETIME = 41
    TYPE_MISMATCH = 53
    ARGUMENT_OUT_OF_BOUND = 69
    CANNOT_CONVERT_TYPE = 70
    CANNOT_PARSE_NUMBER = 72
    INCORRECT_DATA = 117
    TOO_LARGE_STRING_SIZE = 131
    VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE = 321
    CANNOT_PARSE_UUID = 376
    FUNCTION_THROW_IF_VALUE_IS_NON_ZERO = 395
    DECIMAL_OVERFLOW = 407
    CANNOT_PARSE_BOOL = 467
    VIOLATED_CONSTRAINT = 469
    CANNOT_PARSE_IPV4 = 675
    CANNOT_PARSE_IPV6 = 676
    UNKNOWN_ELEMENT_OF_ENUM = 691

    NOT_FOUND_COLUMN_IN_BLOCK = 10
    NO_SUCH_COLUMN_IN_TABLE = 16
    NUMBER_OF_COLUMNS_DOESNT_MATCH = 20
    ILLEGAL_TYPE_OF_ARGUMENT = 43
    ILLEGAL_COLUMN = 44
    UNKNOWN_FUNCTION = 46
    UNKNOWN_IDENTIFIER = 47
    UNKNOWN_TYPE = 50
    UNKNOWN_TABLE = 60
    SYNTAX_ERROR = 62
    UNKNOWN_FORMAT = 73
    UNKNOWN_DATABASE = 81
    UNKNOWN_SETTING = 115
    UNKNOWN_USER = 192
    WRONG_PASSWORD = 193
    REQUIRED_PASSWORD = 194
    SETTING_CONSTRAINT_VIOLATION = 452
    ACCESS_DENIED = 497
    AUTHENTICATION_FAILED = 516

    TIMEOUT_EXCEEDED = 159
    READONLY = 164
    TOO_MANY_SIMULTANEOUS_QUERIES = 202
    SOCKET_TIMEOUT = 209
    NETWORK_ERROR = 210
    ABORTED = 236
    MEMORY_LIMIT_EXCEEDED = 241
    TABLE_IS_READ_ONLY = 242
    NOT_ENOUGH_SPACE = 243
    TOO_MANY_PARTS = 252
    UNKNOWN_STATUS_OF_INSERT = 319
    SERVER_OVERLOADED = 745


_POISON = frozenset(
    {
        ServerCode.CANNOT_PARSE_TEXT,
        ServerCode.CANNOT_PARSE_ESCAPE_SEQUENCE,
        ServerCode.CANNOT_PARSE_QUOTED_STRING,
        ServerCode.CANNOT_PARSE_INPUT_ASSERTION_FAILED,
        ServerCode.ATTEMPT_TO_READ_AFTER_EOF,
        ServerCode.CANNOT_READ_ALL_DATA,
        ServerCode.CANNOT_PARSE_DATE,
        ServerCode.CANNOT_PARSE_DATETIME,
        ServerCode.TYPE_MISMATCH,
        ServerCode.ARGUMENT_OUT_OF_BOUND,
        ServerCode.CANNOT_CONVERT_TYPE,
        ServerCode.CANNOT_PARSE_NUMBER,
        ServerCode.INCORRECT_DATA,
        ServerCode.TOO_LARGE_STRING_SIZE,
        ServerCode.VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE,
        ServerCode.CANNOT_PARSE_UUID,
        ServerCode.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO,
        ServerCode.DECIMAL_OVERFLOW,
        ServerCode.CANNOT_PARSE_BOOL,
        ServerCode.VIOLATED_CONSTRAINT,
        ServerCode.CANNOT_PARSE_IPV4,
        ServerCode.CANNOT_PARSE_IPV6,
        ServerCode.UNKNOWN_ELEMENT_OF_ENUM,
    }
)
_STOP = frozenset(
    {
        ServerCode.NOT_FOUND_COLUMN_IN_BLOCK,
        ServerCode.NO_SUCH_COLUMN_IN_TABLE,
        ServerCode.NUMBER_OF_COLUMNS_DOESNT_MATCH,
        ServerCode.ILLEGAL_TYPE_OF_ARGUMENT,
        ServerCode.ILLEGAL_COLUMN,
        ServerCode.UNKNOWN_FUNCTION,
        ServerCode.UNKNOWN_IDENTIFIER,
        ServerCode.UNKNOWN_TYPE,
        ServerCode.UNKNOWN_TABLE,
        ServerCode.SYNTAX_ERROR,
        ServerCode.UNKNOWN_FORMAT,
        ServerCode.UNKNOWN_DATABASE,
        ServerCode.UNKNOWN_SETTING,
        ServerCode.UNKNOWN_USER,
        ServerCode.WRONG_PASSWORD,
        ServerCode.REQUIRED_PASSWORD,
        ServerCode.SETTING_CONSTRAINT_VIOLATION,
        ServerCode.ACCESS_DENIED,
        ServerCode.AUTHENTICATION_FAILED,
    }
)


def classify(code: int | None) -> Verdict:
    """Say what an insert that failed with `code` needs; None is a fault on the way."""
    if code in _POISON:
        return Verdict.POISON
    if code in _STOP:
        return Verdict.STOP
    return Verdict.RETRY


def code_name(code: int | None) -> str:
    """Return the code's name: a bounded metric label and dead letter code."""
    if code is None:
        return "unreachable"
    try:
        return ServerCode(code).name.lower()
    except ValueError:
        return f"code_{code}"


def describe(error: Error) -> str:
    """Return the server's words without the row they may quote, for logs and people."""
    text = _PREFIX.sub("", str(error), count=1)
    return _QUOTES_ROW.split(text, maxsplit=1)[0].strip()[:_MAX_TEXT]


def reason_of(error: Error) -> str:
    """Return why a row was refused, for its dead letter; never a word of the row.

    Only what the view itself says (throwIf) is repeated; a parser's message quotes the value.
    """
    if error.code == ServerCode.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO:
        return f"refused by audit.ingest_to_events: {describe(error)}"
    return f"refused by ClickHouse: {code_name(error.code).upper()}"
