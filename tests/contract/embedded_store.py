"""The embedded store as a process, for its contract tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import clickhouse_connect
import urllib3
from clickhouse_connect.driver.client import Client

from auditbus.deploy.local.store import read_announcement, store_command

PASSWORD = "a password for tests"
STOP_S = 10


@dataclass(frozen=True, slots=True)
class RunningStore:
    """A store process and its address."""

    process: subprocess.Popen[bytes]
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def client(self, **options: Any) -> Client:
        """Make a clickhouse-connect client, as for any server."""
        server = {"host": "127.0.0.1", "port": self.port}
        login = {"username": "default", "password": PASSWORD}
        return clickhouse_connect.get_client(**(server | login | options))

    def request(
        self,
        sql: str | bytes = b"",
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send a bare request, with the password unless `headers` are given."""
        return urllib3.request(
            method,
            f"{self.url}{path}?{urlencode(query or {})}",
            body=sql,
            headers={"X-ClickHouse-Key": PASSWORD} if headers is None else headers,
            retries=False,
            timeout=30,
        )

    def forget_peak(self) -> None:
        """Let the peak of resident memory count from now (proc(5), clear_refs)."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_bytes(self) -> int:
        """Return the most memory that was resident since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def start_store(path: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        store_command(path),
        env={**os.environ, "AUDITBUS_CLICKHOUSE_PASSWORD": PASSWORD} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@contextmanager
def running_store(path: Path) -> Iterator[RunningStore]:
    """Run a store on `path`; on leaving it is stopped, or killed where it does not stop."""
    with start_store(path) as process:
        try:
            assert process.stdout is not None
            address = read_announcement(process.stdout)
            assert address is not None, process.communicate()[1].decode()
            yield RunningStore(process, address.url)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
