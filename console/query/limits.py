"""A client for readers: many at once, each query bounded in time and memory."""

from __future__ import annotations

from clickhouse_connect.driver.client import Client

from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.client import new_client

__all__ = ["reading_client"]

_CONNECTIONS = 64  # as many as there are worker threads, and the live tails' own


def reading_client(settings: Settings) -> Client:
    """Return a client whose queries end by themselves after `console.query_timeout_s`.

    What ends them comes out as QueryCut where errors are `explained`. Raises what `new_client` does.
    """
    console = settings.console
    return new_client(
        settings.clickhouse,
        connections=_CONNECTIONS,
        query_settings={
            "max_execution_time": console.query_timeout_s,
            "timeout_overflow_mode": "throw",
            "max_memory_usage": console.query_memory_mib * 1024 * 1024,
            # Who closes the connection wants no answer any more.
            "cancel_http_readonly_queries_on_client_close": 1,
        },
    )
