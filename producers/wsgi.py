"""Middleware for WSGI (Flask, Django): binds the request to its events.

Specification: PEP 3333.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from auditbus.producers.context import bound_request
from auditbus.producers.http_request import ForwardedHeader, RequestReader

__all__ = ["AuditMiddleware"]

Environ = dict[str, Any]
App = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class AuditMiddleware:
    """Binds client, request id and trace id for each request.

        app.wsgi_app = AuditMiddleware(app.wsgi_app, trusted_proxies=["10.0.0.0/8"])  # Flask
        application = AuditMiddleware(get_wsgi_application())                         # Django

    What `bind` adds within the request counts for the whole of it, also while the body is streamed.
    """

    def __init__(
        self,
        app: App,
        *,
        trusted_proxies: Iterable[str] = (),
        forwarded_header: ForwardedHeader = "x-forwarded-for",
        request_id_header: str = "x-request-id",
    ) -> None:
        """Wrap `app`; the settings are those of `auditbus.producers.asgi.AuditMiddleware`."""
        self._app = app
        self._read = RequestReader(trusted_proxies, forwarded_header, request_id_header)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""

        def header(name: str) -> str | None:
            return environ.get(f"HTTP_{name.upper().replace('-', '_')}")

        context = self._read(environ.get("REMOTE_ADDR") or None, header)
        with bound_request({"context": context}) as scope:
            body = self._app(environ, start_response)
        wrapper = environ.get("wsgi.file_wrapper")
        is_file = isinstance(wrapper, type) and isinstance(body, wrapper)
        # A list runs no code of the service any more, and the server wants to see its own wrapper.
        return body if is_file or type(body) in (list, tuple) else _Body(body, scope)


class _Body:
    """A body that is still being made: the request is bound in every step of it."""

    def __init__(self, body: Iterable[bytes], scope: object) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._scope = scope

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with bound_request(scope=self._scope):
            if self._iterator is None:
                self._iterator = iter(self._body)
            return next(self._iterator)

    def close(self) -> None:
        close = getattr(self._body, "close", None)
        if close is not None:
            with bound_request(scope=self._scope):
                close()
