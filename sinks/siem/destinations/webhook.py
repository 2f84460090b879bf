"""Signed webhook: events as JSON over HTTPS, by the Standard Webhooks specification, version 1.

    POST URL
    webhook-id: the same for every try of the same events
    webhook-timestamp: seconds since 1970 of this try
    webhook-signature: v1,BASE64 [v1,BASE64]     HMAC-SHA256 of "id.timestamp.body", one a secret

    {"type": "audit.events", "timestamp": "...", "data": [event, ...]}

`data` holds the events byte for byte, in order for each account. A receiver that has a `webhook-id`
already may answer 2xx and drop it; after a crash of the forwarder events can come in other batches,
so each event's own `id` is the key to deduplicate by. Source: standardwebhooks.com, spec 1.0.

Answers: any 2xx is taken; 410 disables (alarm, not tried again before a restart); 401, 403 and 407
alarm and are tried again; 413 is split; 400 and 422 may blame the payload: tried again, then split
to the one event, which is a dead letter only if the receiver takes a probe (type `audit.probe`,
empty `data`); everything else, redirects among it, is tried again without end.
"""

from __future__ import annotations

import base64
import ssl
import time
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError
from standardwebhooks import Webhook
from urllib3.exceptions import HTTPError

from auditbus import __version__
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem.destination import DestinationKind, DestinationSettings, Parcel
from auditbus.sinks.siem.http_client import Answer, Endpoint, unanswered
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome, Rejected
from auditbus.sinks.siem.retry_after import parse_retry_after
from auditbus.sinks.siem.secrets import cut_secrets, secret_values
from auditbus.sinks.siem.target_guard import TargetGuard, TargetRefused, is_public

__all__ = ["KIND", "WebhookClient", "WebhookSettings"]

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the specification's, not a secret
_SECRET_BYTES = range(24, 65)  # the specification's bounds
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


class WebhookSettings(DestinationSettings):
    """A signed webhook."""

    batch_events: int = Field(200, ge=1, le=10_000)
    """Most events of one request."""
    batch_bytes: int = Field(256 * 1024, ge=1024, le=16 * 1024 * 1024)
    """Most bytes of events in one request; one larger event goes alone."""
    url: str
    """Where to POST to, https; http only with allow_private_targets."""
    secret: SecretStr
    """Signing secret, `whsec_` and base64 of 24 to 64 bytes."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation: requests carry both signatures until it is removed."""
    allow_private_targets: bool = False
    """Allow private, loopback and link-local addresses, and plain http."""
    ca_file: Path | None = None
    """Certificate authorities to trust instead of the system's."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_secret(secret.get_secret_value()):
            raise PydanticCustomError(
                "secret", "must be whsec_ and base64 of 24 to 64 bytes (openssl rand -base64 32)"
            )
        return secret

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


class WebhookClient:
    """Signs and posts."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Prepare; connects at the first request."""
        secrets = secret_values(settings)
        self._signers = [Webhook(secret) for secret in secrets]
        self._secrets = tuple(secret.removeprefix(_SECRET_PREFIX) for secret in secrets)
        tls = ssl.create_default_context(cafile=settings.ca_file) if settings.ca_file else None
        self._endpoint = Endpoint(
            settings.url,
            guard=TargetGuard(settings.allow_private_targets),
            timeout_s=settings.timeout_s,
            connections=settings.requests_in_flight,
            tls=tls,
        )

    def deliver(self, parcel: Parcel) -> Outcome:
        """Post `parcel` and say what the answer means."""
        return self._post(parcel.id, _body(b"audit.events", parcel))

    def probe(self) -> Outcome:
        """Post an empty message of a type of its own, signed like any other."""
        now_ms = time.time_ns() // 1_000_000
        return self._post(f"probe_{now_ms}", _body(b"audit.probe", Parcel("", (), now_ms)))

    def close(self) -> None:
        """Close the connections."""
        self._endpoint.close()

    def _post(self, message_id: str, body: bytes) -> Outcome:
        now = datetime.now(UTC)
        text = body.decode()
        headers = {
            "content-type": "application/json",
            "user-agent": f"auditbus/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(s.sign(message_id, now, text) for s in self._signers),
        }
        try:
            answer = self._endpoint.post(body, headers)
        except (HTTPError, TargetRefused) as error:
            return unanswered(error)
        return classify(answer, cut_secrets(answer.excerpt, self._secrets), now)


def classify(answer: Answer, excerpt: str, now: datetime) -> Outcome:
    """Say what an HTTP answer means; `excerpt` is its body without secrets."""
    status = answer.status
    code, reason = f"http_{status}", f"HTTP {status}"
    retry_after_s = parse_retry_after(answer.headers.get("Retry-After"), now)
    if HTTPStatus(200) <= status < HTTPStatus(300):
        return Delivered()
    if status == HTTPStatus.GONE:
        return Blocked(code, f"{reason}: the receiver has closed this endpoint", final=True)
    if status in _UNAUTHORISED:
        return Blocked(code, f"{reason}: not authorised; check secret and url")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return Rejected(code, f"{reason}: too large", excerpt, too_large=True)
    if status in _BLAMES_PAYLOAD:
        return Rejected(code, reason, excerpt)
    return Failed(code, reason, retry_after_s, throttled=status in _THROTTLED)


def _body(message_type: bytes, parcel: Parcel) -> bytes:
    """Splice the events, each known to be one JSON object, into the envelope."""
    timestamp = format_epoch_ms(max(parcel.timestamp_ms, 0)).encode()
    head = b'{"type":"' + message_type + b'","timestamp":"' + timestamp + b'","data":['
    return head + b",".join(parcel.events) + b"]}"


def _is_secret(text: str) -> bool:
    encoded = text.removeprefix(_SECRET_PREFIX)
    try:
        decoded = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except ValueError:
        return False
    return len(decoded) in _SECRET_BYTES


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: judged by its addresses at every connect


KIND = DestinationKind(settings=WebhookSettings, connect=WebhookClient, ordered=True)
