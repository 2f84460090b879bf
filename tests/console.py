"""The console's application on a real store, and clients that ask it."""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

from auditbus.console.access import Recorder
from auditbus.console.web import Services, create_app
from auditbus.producers.testing import RecordingProducer
from auditbus.runtime.settings import ConsoleSettings, Settings

ADMINISTRATOR = "abt_TestsAdministratorToken0123456789abcdefghij"
ORIGIN = "http://127.0.0.1:8080"
_EXPORTS = Path(tempfile.mkdtemp(prefix="auditbus-exports-"))
atexit.register(shutil.rmtree, _EXPORTS, ignore_errors=True)


def console_services(
    store: Client, producer: RecordingProducer | None = None, /, **console: Any
) -> Services:
    """Return the services as the role builds them; its own events go to `producer`."""
    settings = Settings(
        console=ConsoleSettings(
            administrator_token=SecretStr(ADMINISTRATOR),
            **{"public_url": ORIGIN, "exports_dir": _EXPORTS, **console},
        )
    )
    return Services.build(settings, store, Recorder(producer or RecordingProducer()))


def console_app(
    store: Client, producer: RecordingProducer | None = None, /, **console: Any
) -> FastAPI:
    """Return the whole application."""
    return create_app(console_services(store, producer, **console))


def browser(app: FastAPI, origin: str = ORIGIN) -> TestClient:
    """Return a client that keeps cookies, follows no redirect, and sends Origin as browsers do."""
    return TestClient(
        app, origin, follow_redirects=False, headers={"origin": origin, "accept": "text/html"}
    )


def program(app: FastAPI, token: str = ADMINISTRATOR) -> TestClient:
    """Return a client that sends `token` as a program does, and nothing else."""
    headers: Mapping[str, str] = {"authorization": f"Bearer {token}"} if token else {}
    return TestClient(app, ORIGIN, follow_redirects=False, headers=headers)


@contextmanager
def serving(app: Any, port: int = 0, **config: Any) -> Iterator[str]:
    """Serve `app` by uvicorn until the block ends; yield its address."""
    with socket.create_server(("127.0.0.1", port)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, **config)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
