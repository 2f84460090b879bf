"""Enriched events for tests, and a store that is migrated."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error
from pydantic import SecretStr

from auditbus.runtime.settings import ClickHouseSettings
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse import migrate, new_client
from auditbus.sinks.clickhouse.error_codes import ServerCode
from tests.backends.parts import ClickHouse

_DICTIONARY_USER = "auditbus_dictionary"


def clickhouse_settings(store: ClickHouse) -> ClickHouseSettings:
    return ClickHouseSettings(
        url=store.url, username=store.username, password=SecretStr(store.password)
    )


def migrated_client(store: ClickHouse) -> Client:
    """Connect, and migrate if that has not been done."""
    client = new_client(clickhouse_settings(store))
    migrate(client, dictionary_user=dictionary_user(client))
    return client


def dictionary_user(client: Client) -> str:
    """Return who reads the dictionaries: on a server a user of its own, made here."""
    try:
        client.command(f"CREATE USER IF NOT EXISTS {_DICTIONARY_USER} NOT IDENTIFIED HOST LOCAL")
    except Error as error:
        if error.code == ServerCode.ACCESS_DENIED:
            return "default"  # the embedded engine has no users
        raise
    client.command(f"GRANT SELECT ON audit.* TO {_DICTIONARY_USER}")
    return _DICTIONARY_USER


def rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def days_ago(days: float) -> str:
    return rfc3339(datetime.now(UTC) - timedelta(days=days))


def enriched_event(account_id: str = "acme", /, **fields: Any) -> dict[str, Any]:
    """A whole enriched event; a field given as `...` is left out."""
    now = days_ago(0)
    event = {
        "id": uuid7(),
        "schema_version": 1,
        "action": "StorageDeleted",
        "occurred_at": now,
        "account": {"id": account_id, "name": "Acme Inc."},
        "actor": {"type": "user", "id": "u1", "name": "Ann", "email": "ann@example.org"},
        "targets": [{"type": "storage", "id": "s1", "name": "backups"}],
        "description": "deleted storage backups",
        "context": {"ip": "81.2.69.142", "user_agent": "curl/8.0"},
        "metadata": {"plan": "pro", "id": 7},
        "received_at": now,
        "category": "storage",
        "operation": "delete",
        "location": {
            "country_code": "GB",
            "country": "United Kingdom",
            "region": "England",
            "city": "London",
            "label": "London, United Kingdom",
        },
        "device": {"type": "tool", "label": "curl 8.0", "os": None, "browser": "curl"},
        "origin": {"topic": "audit.events", "partition": 3, "offset": 42},
        **fields,
    }
    return {name: value for name, value in event.items() if value is not ...}


def encode(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def refresh_counts(client: Client) -> None:
    """Count audit.daily_counts anew, as happens every hour; it is done on return.

    A refresh asked for while one runs would be that one, which may have begun too early.
    """
    client.command("SYSTEM WAIT VIEW audit.daily_counts_refresh")
    client.command("SYSTEM REFRESH VIEW audit.daily_counts_refresh")
    client.command("SYSTEM WAIT VIEW audit.daily_counts_refresh")
