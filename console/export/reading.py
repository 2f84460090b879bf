"""Rows as the engine writes them, passed on in pieces: nothing of them is parsed here."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from io import IOBase
from typing import cast

from clickhouse_connect.driver.client import Client

from auditbus.console.query.predicate import Predicate

__all__ = ["newest_first"]


def newest_first(
    client: Client,
    expressions: str,
    wanted: Predicate,
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
            f" WHERE {wanted.sql or 'true'} ORDER BY time DESC, id DESC LIMIT {{rows:UInt64}}",
            parameters={**wanted.parameters, "rows": limit},
            settings=dict(engine_settings),
            fmt=engine_format,
        ),
    )
    return closing(stream)
