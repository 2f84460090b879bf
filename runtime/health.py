"""One small port a role: /healthz (alive), /readyz (doing its work), /metrics (Prometheus)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from auditbus.runtime.errors import SettingsError
from auditbus.runtime.logging import get_logger

__all__ = ["HealthServer"]

_log = get_logger(__name__)
# A check returns None when all is well, else what is wrong in a few words.
Check = Callable[[], str | None]


def _healthy() -> str | None:
    return None


class HealthServer:
    """Serves the three pages from a daemon thread. Use as a context manager.

    `alive` answers /healthz, `ready` /readyz: 200 "ok", or 503 with the check's words.
    Raises SettingsError from `start` when the port is taken.
    """

    def __init__(
        self, host: str, port: int, *, alive: Check = _healthy, ready: Check = _healthy
    ) -> None:
        """Remember; `start` binds. Port 0 takes a free one."""
        self._address = (host, port)
        self._checks = {"/healthz": alive, "/readyz": ready}
        self._server: ThreadingHTTPServer | None = None

    @property
    def port(self) -> int:
        """The bound port, in use after `start`."""
        return self._server.server_address[1] if self._server else self._address[1]

    def start(self) -> None:
        """Bind and serve."""
        checks = self._checks

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path == "/metrics":
                    self._answer(200, generate_latest(), CONTENT_TYPE_LATEST)
                elif (check := checks.get(self.path)) is not None:
                    wrong = check()
                    body = (wrong or "ok") + "\n"
                    self._answer(503 if wrong else 200, body.encode(), "text/plain; charset=utf-8")
                else:
                    self._answer(404, b"/healthz /readyz /metrics\n", "text/plain")

            def _answer(self, status: int, body: bytes, content_type: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Stay quiet: a probe every few seconds is no news."""

        host, port = self._address
        try:
            self._server = ThreadingHTTPServer((host, port), Handler)
        except OSError as error:
            raise SettingsError(
                f"health port {host}:{port}: {error.strerror}; set AUDITBUS_<ROLE>_HEALTH_PORT"
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        _log.info("health_listening", url=f"http://{host}:{self.port}/healthz")

    def stop(self) -> None:
        """Stop serving; safe to call twice."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.stop()
