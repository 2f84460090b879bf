"""The console's connection to ClickHouse, and what its failures mean to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from auditbus.console.query.errors import QueryCut
from auditbus.runtime.errors import ClickHouseUnreachable, StoreRefused
from auditbus.runtime.settings import ClickHouseSettings
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.error_codes import ServerCode, describe

__all__ = ["connected", "explained"]

_NOT_MIGRATED = frozenset(
    {ServerCode.UNKNOWN_IDENTIFIER, ServerCode.UNKNOWN_TABLE, ServerCode.UNKNOWN_DATABASE}
)
_CUT = {
    ServerCode.TIMEOUT_EXCEEDED: "The search took too long and was stopped",
    ServerCode.MEMORY_LIMIT_EXCEEDED: "The search took too much memory and was stopped",
}


@contextmanager
def connected(settings: ClickHouseSettings) -> Iterator[Client]:
    """Yield a client, closed at the end; what it raises within comes out `explained`.

    Raises what `new_client` and `explained` raise.
    """
    client = new_client(settings)
    try:
        with explained(settings):
            yield client
    finally:
        client.close()


@contextmanager
def explained(settings: ClickHouseSettings) -> Iterator[None]:
    """Turn the client's errors into those that name the setting to change or the command to run.

    Raises ClickHouseUnreachable, or StoreRefused where the server answered with an error: QueryCut
    where it stopped a query that reached a limit.
    """
    try:
        yield
    except ClickHouseError as error:
        if not isinstance(error, Error) or error.code is None:
            raise ClickHouseUnreachable(
                f"ClickHouse at {settings.url} does not answer; check AUDITBUS_CLICKHOUSE_URL"
            ) from error
        if error.code in _CUT:
            raise QueryCut(f"{_CUT[ServerCode(error.code)]}: narrow the time range.") from error
        if error.code in _NOT_MIGRATED:
            raise StoreRefused(
                "ClickHouse has no audit tables, or older ones; run: auditbus migrate"
            ) from error
        raise StoreRefused(f"ClickHouse refuses the query: {describe(error)}") from error
