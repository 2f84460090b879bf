"""What an event says of the HTTP request it happened in; shared by the ASGI and WSGI middleware."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from auditbus.producers.proxies import TrustedProxies, forwarded_chain, x_forwarded_chain
from auditbus.schemas.ids import uuid7

__all__ = ["RequestReader"]

ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
Header = Callable[[str], str | None]

CLIENT_HINTS = (
    "sec-ch-ua",
    "sec-ch-ua-full-version-list",
    "sec-ch-ua-mobile",
    "sec-ch-ua-model",
    "sec-ch-ua-platform",
    "sec-ch-ua-platform-version",
)
"""Those that the stream reads to name the device."""

_MAX_USER_AGENT = 2048
_MAX_HINT = 256
_IS_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@~-]{1,128}").fullmatch
# https://www.w3.org/TR/trace-context/#traceparent-header: a later version may go on after "-".
_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}"
    r"-[0-9a-f]{2}(?P<more>-.*)?"
)


class RequestReader:
    """Reads a request's headers into the `context` of its events. What is hostile is bounded."""

    def __init__(
        self,
        trusted_proxies: Iterable[str] = (),
        forwarded_header: ForwardedHeader = "x-forwarded-for",
        request_id_header: str = "x-request-id",
    ) -> None:
        """Take the middleware's settings. Raises ValueError, naming the wrong one."""
        if forwarded_header not in ("x-forwarded-for", "forwarded"):
            raise ValueError(
                f"forwarded_header: x-forwarded-for or forwarded, not {forwarded_header}"
            )
        self._proxies = TrustedProxies(trusted_proxies)
        self._forwarded_header: str = forwarded_header
        self._chain = forwarded_chain if forwarded_header == "forwarded" else x_forwarded_chain
        self._request_id_header = request_id_header.lower()

    def __call__(self, peer: str | None, header: Header) -> dict[str, Any]:
        """Return the members of `context`.

        `peer` is the address of the connection's other end. `header` returns a header's value by
        its name in lower case; several lines of one name are joined with commas.
        """
        forwarded = header(self._forwarded_header)
        chain = self._chain(forwarded) if forwarded else []
        request_id = (header(self._request_id_header) or "").strip()
        hints = {name: value[:_MAX_HINT] for name in CLIENT_HINTS if (value := header(name))}
        context = {
            "ip": self._proxies.client(peer, chain),
            "forwarded_for": chain,
            "user_agent": (header("user-agent") or "")[:_MAX_USER_AGENT],
            "client_hints": hints,
            "request_id": request_id if _IS_REQUEST_ID(request_id) else uuid7(),
            "trace_id": _trace_id(header("traceparent") or ""),
        }
        return {name: value for name, value in context.items() if value}


def _trace_id(traceparent: str) -> str | None:
    match = _TRACEPARENT.fullmatch(traceparent.strip())
    if match is None or (match["version"] == "00" and match["more"]):
        return None
    return match["trace"]
