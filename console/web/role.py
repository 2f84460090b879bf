"""The console as a process: everything is built here, once, and joined."""

from __future__ import annotations

from contextlib import closing

import uvicorn

from auditbus.console.web.app import create_app
from auditbus.console.web.gate import AdministratorToken, Authenticator, Gate
from auditbus.console.web.services import Services
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.migrations import check_migrated

__all__ = ["run"]

_log = get_logger(__name__)
_STOP_TIMEOUT_S = 3  # then live tails are cut


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; call from the main thread.

    Raises ClickHouseUnreachable or StoreRefused at the start.
    """
    with closing(new_client(settings.clickhouse)) as store:
        check_migrated(store)
        ways: list[Authenticator] = []
        if settings.console.administrator_token:
            ways.append(AdministratorToken(settings.console.administrator_token))
        services = Services(settings, store, Gate(ways))
        config = uvicorn.Config(
            create_app(services),
            host=settings.console.host,
            port=settings.console.port,
            log_config=None,
            access_log=False,  # its lines would hold what people search for
            server_header=False,
            timeout_graceful_shutdown=_STOP_TIMEOUT_S,
        )
        _log.info("console_starting", url=f"http://{settings.console.host}:{settings.console.port}")
        uvicorn.Server(config).run()
    _log.info("console_stopped")
