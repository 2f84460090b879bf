"""The store and the console as processes of their own, for benchmarks that ask them."""

import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from auditbus.deploy.local.probes import http_answers
from auditbus.deploy.local.store.process import store_command

__all__ = ["RunningConsole", "running", "running_console", "running_store", "wait_until"]

_STOP_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True)
class RunningConsole:
    """Where it answers, and its administrator's token."""

    url: str
    token: str
    child: Child


@contextmanager
def running_store(
    directory: Path, data: Path | None = None
) -> Iterator[tuple[dict[str, str], Child]]:
    """Yield the variables that lead to a store, and its process. `data` may hold events already."""
    port, token = free_port(), secrets.token_urlsafe(24)
    environment = {
        "AUDITBUS_CLICKHOUSE_URL": f"http://{LOOPBACK}:{port}",
        "AUDITBUS_CLICKHOUSE_PASSWORD": token,
    }
    child = Child(
        "store",
        store_command(data or directory / "store", port),
        environment={**os.environ, **environment},
        log=directory / "store.log",
    )
    with running(child, f"http://{LOOPBACK}:{port}/ping"):
        yield environment, child


@contextmanager
def running_console(
    directory: Path, environment: dict[str, str], **more: str
) -> Iterator[RunningConsole]:
    """Yield a console that reads the store which `environment` leads to."""
    port, token = free_port(), secrets.token_urlsafe(24)
    child = Child(
        "console",
        [sys.executable, "-m", "auditbus.console", "console"],
        environment={
            **os.environ,
            **environment,
            "AUDITBUS_CONSOLE_PORT": str(port),
            "AUDITBUS_CONSOLE_ADMINISTRATOR_TOKEN": token,
            "AUDITBUS_DATA_DIR": str(directory / "console"),
            **more,
        },
        log=directory / "console.log",
    )
    url = f"http://{LOOPBACK}:{port}"
    with running(child, f"{url}/readyz"):
        yield RunningConsole(url, token, child)


def wait_until(condition: Callable[[], bool], deadline_s: float = 300.0) -> None:
    """Look again and again. Raises TimeoutError."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end_s:
            raise TimeoutError(f"not within {deadline_s:.0f} s")
        time.sleep(0.05)


@contextmanager
def running(child: Child, ready: str) -> Iterator[None]:
    """Run `child` for the length of the block, which begins once the URL `ready` answers."""
    child.start()
    try:
        wait_until(lambda: http_answers(ready))
        yield
    finally:
        child.stop(_STOP_TIMEOUT_S)
