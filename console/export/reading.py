"""Rows as the engine writes them, passed on in pieces: nothing of them is parsed here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from io import IOBase
from typing import NewType, cast

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import Predicate

__all__ = ["NEWEST_FIRST", "STORED_ORDER", "Order", "read_rows"]

Order = NewType("Order", str)
NEWEST_FIRST = Order("time DESC, id DESC")
"""As people read. The engine sorts all of it."""
STORED_ORDER = Order("account, time, id")
"""As it is stored: the engine need not sort, and takes a quarter of the time for whole events."""


def read_rows(
    client: Client,
    expressions: str,
    wanted: Predicate,
    order: Order,
    limit: int,
    engine_format: str,
    engine_settings: Mapping[str, int],
) -> closing[IOBase]:
    """Return a stream to read from, closed at the end of its block.

    `expressions` are constants of this package. Raises what the client raises, there and in `read`.
    """
    stream = cast(
        "IOBase",  # a StreamContext is what only asynchronous clients return
        client.raw_stream(
            f"SELECT {expressions} FROM audit.log"  # noqa: S608
            f" WHERE {wanted.sql or 'true'} ORDER BY {order} LIMIT {{rows:UInt64}}",
            parameters={**wanted.parameters, "rows": limit},
            settings=dict(engine_settings),
            fmt=engine_format,
        ),
    )
    return closing(stream)
