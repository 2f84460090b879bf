"""One HTTP endpoint, as a destination needs it: pooled, bounded, guarded, never redirected."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    SSLError,
)
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.util.connection import create_connection

from auditbus.sinks.siem.outcomes import Blocked, Failed
from auditbus.sinks.siem.target_guard import TargetGuard, TargetRefused

__all__ = ["Answer", "CookieJar", "Endpoint", "unanswered"]

_EXCERPT_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; `body` is its body, or the beginning of a long one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def excerpt(self) -> str:
        """The beginning of the body as text."""
        return self.body[:_EXCERPT_BYTES].decode(errors="replace")


class CookieJar:
    """The cookies of one endpoint, such as a load balancer's: sent back, so that requests stick.

    Safe to use from several threads. Paths and domains don't matter: there is one host.
    """

    def __init__(self) -> None:
        self._cookies: dict[str, str] = {}
        self._lock = threading.Lock()

    @property
    def header(self) -> str:
        """The Cookie header's value; empty where there is no cookie."""
        with self._lock:
            return "; ".join(f"{name}={value}" for name, value in self._cookies.items())

    def take(self, set_cookie: str) -> None:
        """Take in one Set-Cookie header; one that makes no sense is ignored."""
        try:
            found = SimpleCookie(set_cookie)
        except CookieError:
            return
        with self._lock:
            for name, morsel in found.items():
                if morsel["max-age"] == "0":
                    self._cookies.pop(name, None)
                else:
                    self._cookies[name] = morsel.coded_value


class Endpoint:
    """POSTs to one host over kept connections. Safe to use from several threads.

    TLS is verified against the host name of the URL, whatever address it led to. Redirects are
    answers like any other: following one would send events, signed, to an unchecked place.
    """

    def __init__(
        self,
        url: str,
        *,
        guard: TargetGuard,
        timeout_s: float,
        connections: int,
        tls: ssl.SSLContext | None = None,
        cookies: CookieJar | None = None,
    ) -> None:
        """Remember; connections are made when needed. Without `cookies` none are sent back."""
        parts = urlsplit(url)
        self._timeout_s = timeout_s
        self._cookies = cookies
        self._target = parts._replace(scheme="", netloc="", fragment="").geturl() or "/"
        pool: type[urllib3.HTTPConnectionPool] = _GuardedPool
        options: dict[str, Any] = {}
        if parts.scheme == "https":
            pool = _GuardedTlsPool
            options["ssl_context"] = tls or ssl.create_default_context()
        self._pool = pool(
            parts.hostname or "",
            parts.port,
            timeout=urllib3.Timeout(timeout_s),
            maxsize=connections,
            guard=guard,
            **options,
        )

    def post(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        path: str = "",
        answer_bytes: int = _EXCERPT_BYTES,
    ) -> Answer:
        """Send one request and wait for its answer, of which `answer_bytes` at most are read.

        `path`, which may carry a query, is appended to the URL's own.

        Raises urllib3's HTTPError or TargetRefused where there is none: see `unanswered`.
        """
        if self._cookies is not None and (cookie := self._cookies.header):
            headers = {**headers, "cookie": cookie}
        response = self._pool.urlopen(
            "POST",
            self._target.rstrip("/") + path if path else self._target,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            if self._cookies is not None:
                for set_cookie in response.headers.getlist("set-cookie"):
                    self._cookies.take(set_cookie)
            answer = self._beginning(response, answer_bytes)
        finally:
            response.close()  # no-op where the answer was read to its end
        return Answer(response.status, response.headers, answer)

    def _beginning(self, response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
        """Read some of the body; one that is long, or comes in drops, costs its connection."""
        read = bytearray()
        deadline = time.monotonic() + self._timeout_s
        while len(read) <= limit and time.monotonic() < deadline:
            piece = response.read1(min(limit, 64 * 1024), decode_content=False)
            if not piece:  # the end, which also gives the connection back
                break
            read += piece
        return bytes(read[:limit])

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()


def unanswered(error: HTTPError | TargetRefused) -> Failed | Blocked:
    """Say what it means that a request got no answer."""
    match error:
        case TargetRefused():
            return Blocked("target_refused", str(error))
        case SSLError() if isinstance(error.args[0], ssl.SSLCertVerificationError):
            return Blocked("certificate", f"certificate refused: {error.args[0].verify_message}")
        case NameResolutionError():
            return Failed("name_resolution", "the host name cannot be looked up")
        case NewConnectionError():
            return Failed("connection", "no connection")
        case HTTPTimeoutError():
            return Failed("timeout", "no answer in time")
        case _:
            return Failed("connection", f"connection lost: {type(error).__name__}")


class _Guarded(HTTPConnection):
    """Connects only to addresses that its guard allows."""

    def __init__(self, *args: Any, guard: TargetGuard, **options: Any) -> None:
        super().__init__(*args, **options)
        self._guard = guard

    def _new_conn(self) -> socket.socket:
        """Replace urllib3's own lookup and connect (a contract test pins that it calls this)."""
        try:
            addresses = self._guard.addresses(self.host, self.port)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        failure: OSError | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port), self.timeout, socket_options=self.socket_options
                )
            except OSError as error:
                failure = error
        if isinstance(failure, socket.timeout):
            raise ConnectTimeoutError(self, "no connection in time") from failure
        raise NewConnectionError(self, "no connection") from failure


class _GuardedTls(_Guarded, HTTPSConnection):
    """The same under TLS."""


class _GuardedPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Guarded


class _GuardedTlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _GuardedTls
