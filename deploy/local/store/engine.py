"""ClickHouse's engine in this process: owns a directory, gives every request a handle of its own.

Everything here blocks and belongs on a worker thread. A chDB handle keeps what SET and USE did, so
none is shared: opening one takes about a millisecond (*measured* 1.3 ms with its settings, flat
over 3,000 handles).
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import chdb

from auditbus.deploy.local.store.configuration import (
    CONFIGURATION_FILE,
    MemoryCaps,
    write_configuration,
)
from auditbus.deploy.local.store.errors import EngineError, ErrorCode, StoreInUse
from auditbus.deploy.local.store.guard import StatementGuard
from auditbus.deploy.local.store.statements import InlineData

__all__ = ["HOME_DATABASE", "Engine", "Handle", "Summary"]

# chDB's own `default` is an overlay that looks tables up as files of the working directory, and
# tables in it need a grant on files. So unqualified names mean this ordinary database.
HOME_DATABASE = "main"

_CONNECTION = f"file:data?config-file={CONFIGURATION_FILE}"  # relative: no path needs escaping
_LOCK_FILE = "store.lock"
_INCOMING = Path("incoming")  # data of inserts under way; what a killed process left is removed


@dataclass(frozen=True, slots=True)
class Summary:
    """What a statement did, in rows and bytes, as the engine counts.

    `written_rows` counts every table an INSERT wrote to: n rows into a Null table with one
    materialized view are 2n, whether or not a deduplication token then drops them. ClickHouse
    server counts the same way (ClickHouse issue 18237; documentation of system.query_log: "both the
    original insert and downstream inserts").
    """

    read_rows: int = 0
    read_bytes: int = 0
    written_rows: int = 0
    written_bytes: int = 0
    elapsed_ns: int = 0


class Handle:
    """One request's own connection to the engine; a context manager that closes it."""

    def __init__(self, database: str, settings: Mapping[str, str], *, read_only: bool) -> None:
        """Apply database and settings; raises EngineError where the engine refuses them."""
        self._connection = _connect()
        try:
            self.query(f"USE {_quoted(database, '`')}")
            if settings:
                pairs = (f"{name} = {_quoted(value, chr(39))}" for name, value in settings.items())
                self.query("SET " + ", ".join(pairs))
            if read_only:
                self.query(
                    "SET readonly = 2"
                )  # reads and settings, as a server gives a GET request
        except BaseException:
            self.close()
            raise

    def query(
        self,
        sql: str,
        output_format: str = "TabSeparated",
        parameters: Mapping[str, str] | None = None,
    ) -> tuple[bytes, Summary]:
        """Run any statement; its whole result is held in memory."""
        try:
            result = self._connection.query(sql, output_format, params=dict(parameters or {}))
        except RuntimeError as error:
            raise EngineError.parse(str(error)) from error
        return result.bytes() or b"", _summary(result)

    def stream(
        self, sql: str, output_format: str, parameters: Mapping[str, str]
    ) -> Iterator[bytes]:
        """Run a SELECT, one block of its result at a time; closing the iterator cancels it."""
        try:
            with self._connection.send_query(sql, output_format, params=dict(parameters)) as blocks:
                for block in blocks:
                    if data := block.bytes():
                        yield data
        except RuntimeError as error:
            raise EngineError.parse(str(error)) from error

    def insert(self, sql: str, data: InlineData) -> Summary:
        """Run `INSERT INTO …` with the data it brought; an error in any row fails its whole block.

        The data goes through a file. chDB's other two ways lose or run it: `send_insert` reports
        success where a view or the table refuses the rows (tried: throwIf in a view, too many
        partitions), and data written behind the statement ends at an empty line, after which chDB
        takes it for SQL.
        """
        with _data_file(data.content) as path:
            infile = f"FROM INFILE '{path}' {data.settings} FORMAT {_quoted(data.format, '`')}"
            return self.query(f"{sql} {infile}")[1]

    def close(self) -> None:
        """Release the connection; a running stream is cancelled."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Engine:
    """The engine on one directory, owned by this process until `close`.

    Makes `directory` the working directory of the process: the engine's paths are relative to it.

    Raises:
        StoreInUse: another process has the directory.
    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = _lock(directory / _LOCK_FILE, directory)
        os.chdir(directory)
        write_configuration(Path(), MemoryCaps.for_machine())
        shutil.rmtree(_INCOMING, ignore_errors=True)
        _INCOMING.mkdir(mode=0o700)
        self._keeps_open = _connect()  # the engine ends with its last connection
        self._keeps_open.query(f"CREATE DATABASE IF NOT EXISTS {HOME_DATABASE}", "TabSeparated")
        self.version, self.timezone = self._rows("SELECT arrayJoin([version(), timezone()])")
        self.guard = StatementGuard.of_engine(
            table_functions=self._rows("SELECT name FROM system.table_functions"),
            engines=self._rows(
                "SELECT name FROM system.table_engines "
                "UNION ALL SELECT name FROM system.database_engines"
            ),
            higher_order=self._rows("SELECT name FROM system.functions WHERE higher_order"),
        )

    def handle(self, database: str, settings: Mapping[str, str], *, read_only: bool) -> Handle:
        """Open a handle for one request."""
        return Handle(database, settings, read_only=read_only)

    def close(self) -> None:
        """Stop background merges, close the engine and give up the directory."""
        self._keeps_open.close()
        os.close(self._lock)

    def _rows(self, sql: str) -> list[str]:
        content: bytes = self._keeps_open.query(sql, "TabSeparated").bytes()
        return content.decode().splitlines()


def _lock(path: Path, directory: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise StoreInUse(
            f"{directory} is in use by process {owner}: stop it, or choose another directory"
        ) from error
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


@contextmanager
def _data_file(content: memoryview) -> Iterator[str]:
    """Keep the data in a file for the time of its insert.

    Yields a relative path: the engine would take signs of the directory's name for wildcards.
    """
    descriptor, absolute = tempfile.mkstemp(dir=_INCOMING)
    path = _INCOMING / Path(absolute).name
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        yield str(path)
    except OSError as error:
        raise EngineError(ErrorCode.NOT_ENOUGH_SPACE, f"cannot keep the data: {error}") from error
    finally:
        path.unlink()


def _connect() -> Any:  # chDB gives no types
    return chdb.connect(_CONNECTION)  # type: ignore[no-untyped-call]


def _quoted(text: str, quote: str) -> str:
    return quote + text.replace("\\", "\\\\").replace(quote, "\\" + quote) + quote


def _summary(result: Any) -> Summary:
    return Summary(
        read_rows=result.storage_rows_read(),
        read_bytes=result.storage_bytes_read(),
        written_rows=result.rows_written(),
        written_bytes=result.bytes_written(),
        elapsed_ns=int(result.elapsed() * 1e9),
    )
