"""Signed webhook: events as JSON over HTTPS, by the Standard Webhooks specification, version 1.

    POST URL
    webhook-id: the same for every try of the same events
    webhook-timestamp: seconds since 1970 of this try
    webhook-signature: v1,BASE64 [v1,BASE64]     HMAC-SHA256 of "id.timestamp.body", one a secret

    {"type": "audit.events", "timestamp": "...", "data": [event, ...]}

`data` holds the events byte for byte (other encodings than JSON as strings), in order for each
account. A receiver that has a `webhook-id`
already may answer 2xx and drop it; after a crash of the forwarder events can come in other batches,
so each event's own `id` is the key to deduplicate by. Source: standardwebhooks.com, spec 1.0.

Answers: any 2xx is taken; 410 disables (alarm, not tried again before a restart); 401, 403 and 407
alarm and are tried again; 413 is split; 400 and 422 may blame the payload: tried again, then split
to the one event, which is a dead letter only if the receiver takes a probe (type `audit.probe`,
empty `data`); everything else, redirects among it, is tried again without end.
"""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from standardwebhooks import Webhook

from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.siem.destination import DestinationKind, Parcel
from auditbus.sinks.siem.destinations.envelopes import json_value
from auditbus.sinks.siem.destinations.http import (
    UNANSWERED,
    USER_AGENT,
    HttpSettings,
    classify,
    open_endpoint,
    unanswered,
)
from auditbus.sinks.siem.outcomes import Outcome
from auditbus.sinks.siem.secrets import cut_secrets, secret_values

__all__ = ["KIND", "WebhookClient", "WebhookSettings"]

_SECRET_PREFIX = "whsec_"  # noqa: S105  # the specification's, not a secret
_SECRET_BYTES = range(24, 65)  # the specification's bounds


class WebhookSettings(HttpSettings):
    """A signed webhook."""

    batch_events: int = Field(200, ge=1, le=10_000)
    """Most events of one request."""
    batch_bytes: int = Field(256 * 1024, ge=1024, le=16 * 1024 * 1024)
    """Most bytes of events in one request; one larger event goes alone."""
    secret: SecretStr
    """Signing secret, `whsec_` and base64 of 24 to 64 bytes."""
    previous_secret: SecretStr | None = None
    """The secret before a rotation: requests carry both signatures until it is removed."""

    @field_validator("secret", "previous_secret")
    @classmethod
    def _check_secret(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _is_secret(secret.get_secret_value()):
            raise PydanticCustomError(
                "secret", "must be whsec_ and base64 of 24 to 64 bytes (openssl rand -base64 32)"
            )
        return secret


class WebhookClient:
    """Signs and posts."""

    def __init__(self, settings: WebhookSettings) -> None:
        """Prepare; connects at the first request."""
        secrets = secret_values(settings)
        self._signers = [Webhook(secret) for secret in secrets]
        self._secrets = tuple(secret.removeprefix(_SECRET_PREFIX) for secret in secrets)
        self._endpoint = open_endpoint(settings)

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
            "user-agent": USER_AGENT,
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(s.sign(message_id, now, text) for s in self._signers),
        }
        try:
            answer = self._endpoint.post(body, headers)
        except UNANSWERED as error:
            return unanswered(error)
        return classify(answer, cut_secrets(answer.excerpt, self._secrets), now)


def _body(message_type: bytes, parcel: Parcel) -> bytes:
    """Splice the events, each one JSON value, into the envelope."""
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


KIND = DestinationKind(
    settings=WebhookSettings,
    connect=WebhookClient,
    ordered=True,
    encoder=lambda settings, catalogue: json_value(settings.encoding, catalogue),
)
