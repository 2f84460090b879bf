"""Errors as RFC 9457 problem details. None says more than its reader may know."""

from __future__ import annotations

from http import HTTPStatus

from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from auditbus.console.query.errors import QueryCut
from auditbus.runtime.errors import ClickHouseUnreachable, StoreRefused
from auditbus.runtime.logging import get_logger
from auditbus.sinks.clickhouse.error_codes import ServerCode, code_name

__all__ = ["PROBLEM_JSON", "Problem", "add_problem_handlers", "answer"]

_log = get_logger(__name__)
_CUT = frozenset({ServerCode.TIMEOUT_EXCEEDED, ServerCode.MEMORY_LIMIT_EXCEEDED})
PROBLEM_JSON = "application/problem+json"


class Problem(Exception):
    """An answer that is an error.

    `field` names the parameter or member that is wrong, where there is one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """Remember what to answer."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers or {}


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""

    @app.exception_handler(Problem)
    def _problem(_: Request, problem: Problem) -> JSONResponse:
        return _answer(problem)

    @app.exception_handler(HTTPException)
    def _http(_: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        return _answer(Problem(error.status_code, str(error.detail), headers=headers))

    @app.exception_handler(RequestValidationError)
    def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        return _answer(Problem(422, f"{field}: {first['msg']}", field=field))

    @app.exception_handler(QueryCut)
    def _cut(_: Request, __: Exception) -> JSONResponse:
        return _answer(_too_slow())

    @app.exception_handler(ClickHouseUnreachable)
    @app.exception_handler(StoreRefused)
    def _store(_: Request, __: Exception) -> JSONResponse:
        return _answer(_no_store())

    @app.exception_handler(ClickHouseError)
    def _clickhouse(_: Request, error: Exception) -> JSONResponse:
        code = error.code if isinstance(error, Error) else None
        if code in _CUT:
            return _answer(_too_slow())
        _log.warning("store_failed", code=code and code_name(code))
        return _answer(_no_store())

    @app.exception_handler(Exception)
    def _unexpected(_: Request, error: Exception) -> JSONResponse:
        _log.error("request_failed", exc_info=error)
        return _answer(Problem(500, "Something went wrong here; it has been logged."))


def _too_slow() -> Problem:
    detail = "The search took too long and was stopped: narrow the time range or the filters."
    return Problem(503, detail)


def _no_store() -> Problem:
    return Problem(503, "The store does not answer; try again.", headers={"Retry-After": "2"})


def _answer(problem: Problem) -> JSONResponse:
    body: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
    }
    if problem.field is not None:
        body["field"] = problem.field
    headers = dict(problem.headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers.setdefault("WWW-Authenticate", "Bearer")
    return JSONResponse(body, problem.status, headers, media_type=PROBLEM_JSON)


def answer(problem: Problem) -> JSONResponse:
    """Return the answer that tells of `problem`, for where no handler may raise it."""
    return _answer(problem)
