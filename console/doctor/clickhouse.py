"""ClickHouse: reachable, recent enough, migrated."""

from __future__ import annotations

from collections.abc import Iterator

from auditbus.console.doctor.finding import Finding, Level
from auditbus.console.query.connection import explained
from auditbus.runtime.errors import ClickHouseUnreachable, SettingsError, StoreRefused
from auditbus.runtime.settings import ClickHouseSettings
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.migrations import check_migrated

__all__ = ["clickhouse_findings"]

_SUBJECT = "ClickHouse"


def clickhouse_findings(settings: ClickHouseSettings) -> Iterator[Finding]:
    """Yield what there is to say about the server and its tables."""
    try:
        client = new_client(settings)
    except (ClickHouseUnreachable, StoreRefused, SettingsError) as error:
        found, _, change = str(error).partition("; check ")
        change = f"check {change}" if change else "check AUDITBUS_CLICKHOUSE_URL"
        yield Finding(Level.FAIL, _SUBJECT, found, change, unreachable=True)
        return
    try:
        yield Finding(Level.OK, _SUBJECT, f"{client.server_version} at {settings.url}")
        with explained(settings):
            check_migrated(client)
        yield Finding(Level.OK, "ClickHouse tables", "migrations up to date")
    except (ClickHouseUnreachable, StoreRefused) as error:
        found, _, change = str(error).partition("; run: ")
        yield Finding(
            Level.FAIL,
            "ClickHouse tables",
            found,
            f"run: {change or 'auditbus migrate'}",
            unreachable=isinstance(error, ClickHouseUnreachable),
        )
    finally:
        client.close()
