"""The real application on uvicorn in a thread, with people who may see this and that."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

import uvicorn
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI, Request
from pydantic import SecretStr

from auditbus.console.access import Principal, Role
from auditbus.console.web import Services, create_app
from auditbus.console.web.gate import Gate, bearer_token
from auditbus.deploy.local.demo.world import build_world
from auditbus.runtime.settings import ConsoleSettings, Settings
from tests.backends.parts import ClickHouse
from tests.browser.events import DEMO_SEED
from tests.store import clickhouse_settings

ADMINISTRATOR = Principal("t:administrator", "Ada Administrator", Role.ADMINISTRATOR)
AUDITOR = Principal(
    "t:auditor",
    "Otto Auditor",
    Role.AUDITOR,
    actor_id="u-otto",
    accounts=frozenset({"own-account", "live-account"}),
    organization_accounts=frozenset({"own-account", "sister-account"}),
)
MEMBER = Principal("t:member", "Mia Member", Role.MEMBER, actor_id="u-mia")
# Someone of the demo's world, for the pictures.
DEMO_AUDITOR = Principal(
    "t:demo",
    "Emma Moreau",
    Role.AUDITOR,
    actor_id="u-high-bay-2",
    accounts=frozenset({"high-bay"}),
    organization_accounts=frozenset(account.id for account in build_world(Random(DEMO_SEED))),
)
NOBODY = Principal("t:nobody", "Nora Nobody", Role.MEMBER)
PEOPLE: Mapping[str, Principal] = {
    f"browser-test-token-{person.id}": person
    for person in (ADMINISTRATOR, AUDITOR, MEMBER, NOBODY, DEMO_AUDITOR)
}


def headers_of(person: Principal) -> dict[str, str]:
    return {"Authorization": f"Bearer browser-test-token-{person.id}"}


@dataclass(frozen=True)
class Console:
    """`url` of a console over `client`'s store."""

    url: str
    client: Client
    store: ClickHouse
    app: FastAPI


def _known(request: Request) -> Principal | None:
    return PEOPLE.get(bearer_token(request) or "")


@contextmanager
def running_console(
    store: ClickHouse,
    client: Client,
    *,
    administrator_token: str | None = None,
    exports: Path | None = None,
) -> Iterator[Console]:
    """Serve until the block ends; with a token, people sign in as they do in production.

    `exports` is where background exports lie, where a test makes any.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        token = SecretStr(administrator_token) if administrator_token else None
        settings = Settings(
            clickhouse=clickhouse_settings(store),
            console=ConsoleSettings(port=port, administrator_token=token, exports_dir=exports),
        )
        gate = None if token else Gate([_known])
        app = create_app(Services.build(settings, client, gate=gate))
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            deadline = time.monotonic() + 30
            while not server.started:
                assert thread.is_alive()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            yield Console(f"http://127.0.0.1:{port}", client, store, app)
        finally:
            server.should_exit = True
            thread.join(30)
