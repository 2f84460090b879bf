"""One SELECT on the log: constants around a predicate, values bound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import Predicate

__all__ = ["select"]


def select(
    client: Client,
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
