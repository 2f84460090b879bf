"""Migrations: `schemas/clickhouse/NNNN_name.sql`, applied once, in order, checksummed.

A file holds statements that end in `;` at a line's end, and comments that fill a line. The one
parameter is `@dictionary_user@`. ClickHouse has no transactions over DDL, so every statement must
bear to be run twice (IF NOT EXISTS): a file that failed half way is run again from its start.

Files in `server/`, numbered from 5001, make roles, quotas and row policies. They come after the
others, and only where the user may make such things: the embedded engine has none, and a server's
operator may keep them to himself. No role of the pipeline needs them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import Error

from auditbus.runtime.errors import StoreRefused
from auditbus.sinks.clickhouse.error_codes import ServerCode, describe

__all__ = [
    "Migration",
    "check_migrated",
    "load_migrations",
    "load_server_migrations",
    "migrate",
    "missing_server_migrations",
]

_FILE_NAME = re.compile(r"(?P<version>[0-9]{4})_(?P<name>[a-z0-9_]+)\.sql")
_BOOTSTRAP = (
    "CREATE DATABASE IF NOT EXISTS audit",
    """CREATE TABLE IF NOT EXISTS audit.schema_migrations
    (
        version UInt16,
        name String,
        checksum FixedString(64),
        applied_at DateTime64(3, 'UTC') DEFAULT now64(3)
    )
    ENGINE = ReplacingMergeTree ORDER BY version""",
)
# What the statements in `server/` need, besides SELECT with the right to grant it.
_ACCESS = "CHECK GRANT CREATE ROLE, CREATE ROW POLICY, CREATE QUOTA, CREATE SETTINGS PROFILE ON *.*"
_APPLIED = "SELECT version, checksum FROM audit.schema_migrations FINAL ORDER BY version"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file. `checksum` is the SHA-256 of its text, parameters unfilled."""

    version: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        """SHA-256 in hexadecimal."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    def statements(self, *, dictionary_user: str) -> Iterator[str]:
        """Yield the statements without comments, parameters filled as SQL strings."""
        lines = (line for line in self.text.splitlines() if not line.lstrip().startswith("--"))
        for statement in re.split(r";[ \t]*(?:\n|\Z)", "\n".join(lines)):
            if statement.strip():
                yield statement.strip().replace("@dictionary_user@", _quoted(dictionary_user))


def load_migrations() -> list[Migration]:
    """Return the migrations that every store needs, in order."""
    return _load(files("auditbus.schemas").joinpath("clickhouse"))


def load_server_migrations() -> list[Migration]:
    """Return those that make roles, quotas and row policies, in order."""
    return _load(files("auditbus.schemas").joinpath("clickhouse", "server"))


def _load(folder: Traversable) -> list[Migration]:
    found = []
    for path in folder.iterdir():
        if match := _FILE_NAME.fullmatch(path.name):
            text = path.read_text(encoding="utf-8")
            found.append(Migration(int(match["version"]), match["name"], text))
    return sorted(found, key=lambda migration: migration.version)


def migrate(
    client: Client,
    *,
    dictionary_user: str = "default",
    migrations: Iterable[Migration] | None = None,
    on_applied: Callable[[Migration], None] = lambda _migration: None,
) -> list[Migration]:
    """Apply what is missing, in order, and return it; `on_applied` is called after each.

    The package's server migrations are applied where the user may make roles.

    Two migrators at once are safe: a statement changes nothing when it runs a second time.

    Raises StoreRefused when an applied file was changed since, when the store has been migrated by
    a newer version, or when ClickHouse refuses a statement.
    """
    for statement in _BOOTSTRAP:
        client.command(statement)
    if migrations is None:
        _compare([*load_migrations(), *load_server_migrations()], _applied(client))
        known = load_migrations() + (load_server_migrations() if _manages_access(client) else [])
    else:
        known = list(migrations)
        _compare(known, _applied(client))
    newly = []
    for migration in known:
        if migration.version not in _applied(client):
            _apply(client, migration, dictionary_user)
            newly.append(migration)
            on_applied(migration)
    return newly


def check_migrated(client: Client) -> None:
    """Raise StoreRefused unless every migration of this version is applied, unchanged."""
    try:
        applied = _applied(client)
    except Error as error:
        if error.code not in {ServerCode.UNKNOWN_TABLE, ServerCode.UNKNOWN_DATABASE}:
            raise
        applied = {}
    known = load_migrations()
    _compare([*known, *load_server_migrations()], applied)
    if missing := [m for m in known if m.version not in applied]:
        names = ", ".join(f"{m.version:04}_{m.name}" for m in missing)
        raise StoreRefused(f"ClickHouse is not migrated ({names}); run: auditbus migrate")


def missing_server_migrations(client: Client) -> list[Migration]:
    """Return the server migrations that are not applied, after `migrate`: the user may not."""
    applied = _applied(client)
    return [m for m in load_server_migrations() if m.version not in applied]


def _manages_access(client: Client) -> bool:
    return int(str(client.command(_ACCESS))) == 1


def _applied(client: Client) -> dict[int, str]:
    return {version: _text(checksum) for version, checksum in client.query(_APPLIED).result_rows}


def _compare(known: Iterable[Migration], applied: dict[int, str]) -> None:
    by_version = {migration.version: migration for migration in known}
    for version, checksum in applied.items():
        migration = by_version.get(version)
        if migration is None:
            raise StoreRefused(
                f"ClickHouse has migration {version:04}, which this version of auditbus does not "
                "know: upgrade auditbus"
            )
        if migration.checksum != checksum:
            raise StoreRefused(
                f"migration {version:04}_{migration.name} was changed after it was applied: "
                "restore the file and put the change into a new one"
            )


def _apply(client: Client, migration: Migration, dictionary_user: str) -> None:
    for number, statement in enumerate(migration.statements(dictionary_user=dictionary_user), 1):
        try:
            client.command(statement)
        except Error as error:
            raise StoreRefused(
                f"migration {migration.version:04}_{migration.name}, statement {number}: "
                f"{describe(error)}{_advice(error)}"
            ) from error
    client.insert(
        "audit.schema_migrations",
        [[migration.version, migration.name, migration.checksum.encode()]],
        column_names=["version", "name", "checksum"],
    )


def _advice(error: Error) -> str:
    if error.code == ServerCode.AUTHENTICATION_FAILED:
        return "; check AUDITBUS_CLICKHOUSE_DICTIONARY_USER"
    return ""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
