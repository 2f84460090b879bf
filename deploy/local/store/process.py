"""The command that starts the store, and the line by which it says that it is ready."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO

import msgspec

__all__ = ["StoreAddress", "read_announcement", "store_command"]


class StoreAddress(msgspec.Struct, frozen=True):
    """The one line on standard output, as JSON, once connections are accepted."""

    url: str
    engine_version: str

    def announcement(self) -> bytes:
        """Return the line, with its newline."""
        return msgspec.json.encode(self) + b"\n"


def store_command(path: Path, port: int = 0) -> list[str]:
    """Return the command of a store on `path`; port 0 takes a free one.

    The password goes into the environment as AUDITBUS_CLICKHOUSE_PASSWORD, or into a file named by
    AUDITBUS_CLICKHOUSE_PASSWORD_FILE: never onto the command line, which every user can read.
    """
    module = "auditbus.deploy.local.store"
    return [sys.executable, "-m", module, "--path", str(path), "--port", str(port)]


def read_announcement(standard_output: IO[bytes]) -> StoreAddress | None:
    """Block until the store is ready; None where it ended instead, its reason on stderr."""
    line = standard_output.readline()
    return msgspec.json.decode(line, type=StoreAddress) if line else None
