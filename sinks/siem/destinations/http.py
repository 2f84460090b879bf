"""What destinations over HTTP share: address and TLS settings, headers, gzip, what statuses mean.

    any 2xx          delivered
    401, 403, 407    blocked: not authorised; pause, alarm, try again
    410              blocked for good: the endpoint is closed, until the forwarder is restarted
    413              the payload is too large: split
    400, 422         the payload is blamed
    anything else    fails for now; 429, 502, 503 and 504 throttle the whole destination

A destination whose protocol says more about an answer looks at it before `classify` does.
"""

from __future__ import annotations

import ssl
import zlib
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import field_validator, model_validator
from pydantic_core import PydanticCustomError
from urllib3.exceptions import HTTPError

from auditbus import __version__
from auditbus.sinks.siem.destination import DestinationSettings
from auditbus.sinks.siem.http_client import Answer, CookieJar, Endpoint, unanswered
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome, Rejected
from auditbus.sinks.siem.retry_after import parse_retry_after
from auditbus.sinks.siem.target_guard import TargetGuard, TargetRefused, is_public

__all__ = [
    "UNANSWERED",
    "USER_AGENT",
    "HttpSettings",
    "classify",
    "compress",
    "open_endpoint",
    "too_large",
    "unanswered",
]

UNANSWERED = (HTTPError, TargetRefused)
"""What `Endpoint.post` raises where there is no answer."""

USER_AGENT = f"auditbus/{__version__}"

_THROTTLED = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
_UNAUTHORISED = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.PROXY_AUTHENTICATION_REQUIRED,
}
_BLAMES_PAYLOAD = {HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY}
_GZIP_LEVEL = 1  # of the levels the only one that is cheaper than sending what it saves
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


class HttpSettings(DestinationSettings):
    """A destination over HTTP."""

    url: str
    """Where to POST to, https; http only with allow_private_targets."""
    allow_private_targets: bool = False
    """Allow private, loopback and link-local addresses, and plain http."""
    ca_file: Path | None = None
    """Certificate authorities to trust instead of the system's."""
    client_certificate_file: Path | None = None
    """PEM certificate that the destination asks for, with its chain."""
    client_key_file: Path | None = None
    """PEM key of it, unencrypted, where it does not stand in the same file."""

    @field_validator("url")
    @classmethod
    def _check_url(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise PydanticCustomError("url", "must be https://HOST[:PORT][/PATH]")
        if parts.username is not None or parts.password is not None:
            raise PydanticCustomError("url", "must not carry a user or password")
        _ = parts.port  # raises ValueError, which pydantic reports, when out of range
        return url

    @field_validator("ca_file")
    @classmethod
    def _check_ca(cls, ca_file: Path | None) -> Path | None:
        if ca_file is not None:
            try:
                ssl.create_default_context(cafile=ca_file)
            except OSError as error:  # ssl.SSLError is one
                raise PydanticCustomError(
                    "ca_file", "cannot be read as PEM certificates"
                ) from error
        return ca_file

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        """Refuse early what the guard would refuse at every connect."""
        parts = urlsplit(self.url)
        if self.allow_private_targets:
            return self
        if parts.scheme == "http":
            raise PydanticCustomError("url", "url: http needs allow_private_targets = true")
        if _is_private_literal(parts.hostname or ""):
            raise PydanticCustomError(
                "url", "url: a private address needs allow_private_targets = true"
            )
        return self

    @model_validator(mode="after")
    def _check_client_certificate(self) -> Self:
        if self.client_key_file is not None and self.client_certificate_file is None:
            raise PydanticCustomError("client_key", "client_key_file needs client_certificate_file")
        try:
            self.tls_context()
        except OSError as error:
            raise PydanticCustomError(
                "client_certificate",
                "client_certificate_file: cannot be read as a PEM certificate with its key",
            ) from error
        return self

    def tls_context(self) -> ssl.SSLContext | None:
        """Return what TLS trusts and shows; None means the system's authorities.

        Raises OSError where a file cannot be read or is none.
        """
        if self.ca_file is None and self.client_certificate_file is None:
            return None
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.client_certificate_file is not None:
            # An encrypted key would ask for its password on the terminal: an empty one fails.
            context.load_cert_chain(
                self.client_certificate_file, self.client_key_file, password=lambda: b""
            )
        return context


def open_endpoint(settings: HttpSettings, cookies: CookieJar | None = None) -> Endpoint:
    """Return the endpoint that the settings describe; nothing is connected yet."""
    return Endpoint(
        settings.url,
        guard=TargetGuard(settings.allow_private_targets),
        timeout_s=settings.timeout_s,
        connections=settings.requests_in_flight,
        tls=settings.tls_context(),
        cookies=cookies,
    )


def compress(body: bytes) -> bytes:
    """Return `body` as gzip (RFC 1952), always the same bytes for the same body."""
    return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW)


def too_large(size: int, limit: int) -> Rejected:
    """Say that a body of `size` bytes is not even sent: the frame splits it."""
    return Rejected("too_large", f"a body of {size} bytes is over {limit}", too_large=True)


def classify(answer: Answer, excerpt: str, now: datetime | None = None) -> Outcome:
    """Say what an HTTP answer means; `excerpt` is its body without secrets."""
    status = answer.status
    code, reason = f"http_{status}", f"HTTP {status}"
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return Delivered()
    if status == HTTPStatus.GONE:
        return Blocked(code, f"{reason}: the receiver has closed this endpoint", final=True)
    if status in _UNAUTHORISED:
        return Blocked(code, f"{reason}: not authorised; check credentials and url")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Rejected(code, f"{reason}: too large", excerpt, too_large=True)
    if status in _BLAMES_PAYLOAD:
        return Rejected(code, reason, excerpt)
    retry_after_s = parse_retry_after(answer.headers.get("Retry-After"), now or datetime.now(UTC))
    return Failed(code, reason, retry_after_s, throttled=status in _THROTTLED)


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: judged by its addresses at every connect
