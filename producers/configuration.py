"""The librdkafka configuration of the SDK: what it decides, and what a service may choose."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from auditbus.runtime.errors import SettingsError

__all__ = ["Option", "producer_config"]

Option = str | int | float | bool
# librdkafka's own lines go where the service's logs go, not to stderr.
_client_log = logging.getLogger("auditbus.producers.librdkafka")

# What the promises stand on: no loss, no repeats, one account on one partition for every client
# (librdkafka's default partitioner differs from Java's).
_FIXED: Mapping[str, Option] = {
    "enable.idempotence": True,
    "acks": "all",
    "partitioner": "murmur2_random",
}
_DEFAULTS: Mapping[str, Option] = {
    "compression.type": "lz4",
    "linger.ms": 5,
    "queue.buffering.max.messages": 100_000,
    "queue.buffering.max.kbytes": 64 * 1024,
    "reconnect.backoff.max.ms": 2_000,  # librdkafka's 10 s would hold back what waits
}


def producer_config(
    bootstrap_servers: str,
    client_id: str,
    delivery_timeout_s: float | None,
    options: Mapping[str, Option],
) -> dict[str, Any]:
    """Return the whole configuration. It may hold secrets: don't keep it, don't log it.

    `delivery_timeout_s` None: librdkafka gives no event up by itself.

    Raises SettingsError where `options` holds what the SDK decides or has an argument for.
    """
    own: dict[str, Any] = {
        **_FIXED,
        "bootstrap.servers": bootstrap_servers,
        "client.id": client_id,
        "message.timeout.ms": int((delivery_timeout_s or 0) * 1000),  # 0: infinite
        "logger": _client_log,
    }
    if taken := sorted(own.keys() & options.keys()):
        raise SettingsError(f"AuditProducer options: {', '.join(taken)} can't be set here")
    return {**_DEFAULTS, **options, **own}
