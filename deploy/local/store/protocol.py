"""ClickHouse's HTTP interface: requests as Calls, errors and summaries as headers.

Source: https://clickhouse.com/docs/interfaces/http. What clickhouse-connect relies on is tested
with it in tests/contract/test_store_clickhouse_connect.py.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from http import HTTPStatus

import msgspec

from auditbus.deploy.local.store.engine import HOME_DATABASE, Summary
from auditbus.deploy.local.store.errors import BadRequest, ErrorCode, StoreError
from auditbus.deploy.local.store.statements import Statement, parse_statement

__all__ = [
    "Call",
    "content_type",
    "error_text",
    "http_status",
    "late_error",
    "new_exception_tag",
    "new_query_id",
    "summary_header",
]

# Names in the URL that belong to the interface. Every other name is a setting of the query.
_INTERFACE_PARAMETERS = frozenset(
    {
        "buffer_size",
        "cancel_http_readonly_queries_on_client_close",
        "client_protocol_version",
        "database",
        "default_format",
        "enable_http_compression",
        "http_headers_progress_interval_ms",
        "http_make_head_request",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "session_check",
        "session_id",
        "session_timeout",
        "user",
        "wait_end_of_query",
    }
)
_UNSUPPORTED_PARAMETERS = {
    "compress": "ClickHouse's block compression: use Accept-Encoding",
    "decompress": "ClickHouse's block compression: use Content-Encoding",
}
_SETTING_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")

_STATUS = {
    ErrorCode.AUTHENTICATION_FAILED: HTTPStatus.UNAUTHORIZED,
    ErrorCode.ACCESS_DENIED: HTTPStatus.FORBIDDEN,
    ErrorCode.READONLY: HTTPStatus.FORBIDDEN,
    ErrorCode.UNKNOWN_FUNCTION: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_IDENTIFIER: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_TYPE: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_TABLE: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_FORMAT: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_DATABASE: HTTPStatus.NOT_FOUND,
    ErrorCode.UNKNOWN_SETTING: HTTPStatus.NOT_FOUND,
    ErrorCode.SYNTAX_ERROR: HTTPStatus.BAD_REQUEST,
    ErrorCode.BAD_ARGUMENTS: HTTPStatus.BAD_REQUEST,
    ErrorCode.CANNOT_DECOMPRESS: HTTPStatus.BAD_REQUEST,
    ErrorCode.QUERY_IS_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.NOT_IMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    ErrorCode.TIMEOUT_EXCEEDED: HTTPStatus.REQUEST_TIMEOUT,
    # The status for which clickhouse-connect sends a read again.
    ErrorCode.TOO_MANY_SIMULTANEOUS_QUERIES: HTTPStatus.SERVICE_UNAVAILABLE,
}

_CONTENT_TYPES = {
    "native": "application/octet-stream",
    "rowbinary": "application/octet-stream",
    "json": "application/json; charset=UTF-8",
    "csv": "text/csv; charset=UTF-8; header=absent",
    "csvwithnames": "text/csv; charset=UTF-8; header=present",
    "jsoneachrow": "application/x-ndjson; charset=UTF-8",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read.

    Attributes:
        statement: what to run.
        output_format: the FORMAT clause, else the request's default, else TabSeparated.
        database: where unqualified names are looked up.
        settings: of this request alone.
        parameters: values for `{name:Type}` in the statement, as text.
        read_only: a GET may only read.
        waits_for_end: the client wants an error as a status rather than in the middle of a result.
    """

    statement: Statement
    output_format: str
    database: str
    settings: dict[str, str]
    parameters: dict[str, str]
    read_only: bool
    waits_for_end: bool

    @classmethod
    def read(
        cls,
        *,
        method: str,
        query: Mapping[str, str],
        form: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Call:
        """Read a request; `query` is its URL's, `form` its multipart fields, `body` is unpacked.

        Raises:
            BadRequest: not a request of this interface, or one that this store does not support.
        """
        for name, reason in _UNSUPPORTED_PARAMETERS.items():
            if query.get(name, "0") != "0":
                raise BadRequest(ErrorCode.NOT_IMPLEMENTED, reason)
        sql = query.get("query") or form.get("query", "")
        statement = parse_statement(f"{sql}\n".encode() + body if sql else body)
        database = query.get("database") or headers.get("X-ClickHouse-Database", "default")
        default_format = query.get("default_format") or headers.get("X-ClickHouse-Format")
        return cls(
            statement,
            statement.output_format or default_format or "TabSeparated",
            HOME_DATABASE if database == "default" else database,
            _settings(query),
            _parameters(query) | _parameters(form),
            method in {"GET", "HEAD"},
            query.get("wait_end_of_query", "0") == "1",
        )


def _settings(query: Mapping[str, str]) -> dict[str, str]:
    settings = {
        name: value
        for name, value in query.items()
        if name not in _INTERFACE_PARAMETERS | _UNSUPPORTED_PARAMETERS.keys()
        and not name.startswith("param_")
    }
    for name in settings:
        if not _SETTING_NAME.fullmatch(name):
            raise BadRequest(ErrorCode.UNKNOWN_SETTING, f"{name!r} is not the name of a setting")
    return settings


def _parameters(values: Mapping[str, str]) -> dict[str, str]:
    prefix = "param_"
    return {
        name.removeprefix(prefix): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def new_query_id(query: Mapping[str, str]) -> str:
    """Return the client's id for this request, else a new one."""
    return query.get("query_id") or str(uuid.uuid4())


def http_status(error: StoreError) -> HTTPStatus:
    """Return the status a server would give; clients go by the code in the header."""
    try:
        return _STATUS.get(ErrorCode(error.code), HTTPStatus.INTERNAL_SERVER_ERROR)
    except ValueError:
        return HTTPStatus.INTERNAL_SERVER_ERROR


def error_text(error: StoreError, version: str) -> str:
    """Return the body of an error, in a server's form."""
    return f"Code: {error.code}. DB::Exception: {error.reason} (version {version} (chDB))\n"


def new_exception_tag() -> str:
    """Return a random tag (16 letters) by which a client knows a late error from data."""
    return secrets.token_hex(8)


def late_error(error: StoreError, tag: str, version: str) -> bytes:
    """Return what ends a result that failed after its headers were sent.

    The form of ClickHouse 25.11 and later, which clickhouse-connect looks for where the header
    X-ClickHouse-Exception-Tag is set: WriteBufferFromHTTPServerResponse.cpp.
    """
    message = error_text(error, version).encode()
    marker = b"__exception__"
    mark = tag.encode()
    return b"\r\n%b\r\n%b\r\n%b%d %b\r\n%b\r\n" % (
        marker,
        mark,
        message,
        len(message),
        mark,
        marker,
    )


def summary_header(summary: Summary) -> str:
    """Return X-ClickHouse-Summary: numbers as strings, as a server writes them."""
    return msgspec.json.encode(
        {name: str(value) for name, value in asdict(summary).items()}
    ).decode()


def content_type(output_format: str) -> str:
    """Return the media type of a result."""
    return _CONTENT_TYPES.get(output_format.lower(), "text/plain; charset=UTF-8")
