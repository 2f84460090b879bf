"""The console as a process: everything is built here, once, and joined."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import uvicorn

from auditbus.console.access import Recorder, new_producer
from auditbus.console.web.app import create_app
from auditbus.console.web.services import Services
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.migrations import check_migrated

__all__ = ["run"]

_log = get_logger(__name__)
_CONNECTIONS = 64  # more than there are worker threads
_STOP_TIMEOUT_S = 3  # then live tails are cut
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Server(uvicorn.Server):
    """Ends at a signal, and lets what runs it end too."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Raise no signal again, as uvicorn does: the last events would never be sent."""
        handlers = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; call from the main thread.

    Raises ClickHouseUnreachable, StoreRefused or SettingsError at the start.
    """
    with (
        closing(new_client(settings.clickhouse, connections=_CONNECTIONS)) as store,
        new_producer(settings) as producer,
    ):
        check_migrated(store)
        services = Services.build(settings, store, Recorder(producer))
        config = uvicorn.Config(
            create_app(services),
            host=settings.console.host,
            port=settings.console.port,
            log_config=None,
            access_log=False,  # its lines would hold what people search for
            server_header=False,
            proxy_headers=bool(settings.console.trusted_proxies),
            forwarded_allow_ips=list(settings.console.trusted_proxies),
            timeout_graceful_shutdown=_STOP_TIMEOUT_S,
        )
        _log.info("console_starting", url=f"http://{settings.console.host}:{settings.console.port}")
        _Server(config).run()
    _log.info("console_stopped")
