"""One SELECT on the log: constants around a predicate, values bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.query import QueryResult

from auditbus.console.query.predicate import Predicate

__all__ = ["BoundedReader", "Reader", "select"]


class Reader(Protocol):
    """What a SELECT needs: a Client, or one that is bounded."""

    def query(
        self,
        query: str,
        *,
        parameters: dict[str, Any],
        column_formats: dict[str, str | dict[str, str]],
        tz_mode: Any,
    ) -> QueryResult:
        """Return the whole result."""


@dataclass(frozen=True, slots=True)
class BoundedReader:
    """Reads through `client`, each query bounded in time and memory.

    What reaches a bound comes out as QueryCut where errors are `explained`.
    """

    client: Client
    timeout_s: float
    memory_bytes: int

    def query(
        self,
        query: str,
        *,
        parameters: dict[str, Any],
        column_formats: dict[str, str | dict[str, str]],
        tz_mode: Any,
    ) -> QueryResult:
        """Return the whole result."""
        return self.client.query(
            query,
            parameters=parameters,
            settings={
                "max_execution_time": self.timeout_s,
                "timeout_overflow_mode": "throw",
                "max_memory_usage": self.memory_bytes,
            },
            column_formats=column_formats,
            tz_mode=tz_mode,
        )


def select(
    client: Reader,
    what: str,
    where: Predicate,
    rest: str = "",
    parameters: Mapping[str, object] | None = None,
) -> Sequence[Sequence[Any]]:
    """Return the rows of `SELECT {what} WHERE {where} {rest}`; `what` and `rest` are constants."""
    found = client.query(
        f"SELECT {what} WHERE {where.sql or 'true'}{rest}",
        parameters={**where.parameters, **(parameters or {})},
        column_formats={"event": "bytes"},
        tz_mode="aware",
    )
    return found.result_rows
