"""Kafka clients, made in one place so that every role partitions and commits the same way."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from auditbus.runtime.errors import SettingsError
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import KafkaSettings

__all__ = [
    "LIBRDKAFKA_LOGGER",
    "PARTITIONER",
    "client_config",
    "new_admin",
    "new_consumer",
    "new_producer",
]

# librdkafka's default partitioner differs from Java's: with both at work, one account would lie
# on two partitions and lose its order.
PARTITIONER = "murmur2_random"

# librdkafka's own lines come out in the form of all logs, not bare on standard error.
LIBRDKAFKA_LOGGER = "auditbus.librdkafka"

_log = get_logger(__name__)
_REPORT_EVERY_S = 10.0
Option = str | int | float | bool | object


def client_config(kafka: KafkaSettings) -> dict[str, Option]:
    """Return the connection part of a librdkafka configuration. It holds a secret: don't log it."""
    config: dict[str, Option] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol,
        # By default 10 s: a group would stand still for that long after its broker is back.
        "reconnect.backoff.max.ms": 2_000,
        "error_cb": _report_error,
        "logger": logging.getLogger(LIBRDKAFKA_LOGGER),
    }
    optional = {
        "sasl.mechanisms": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password and kafka.sasl_password.get_secret_value(),
        "ssl.ca.location": kafka.ssl_ca_location and str(kafka.ssl_ca_location),
    }
    config.update({name: value for name, value in optional.items() if value is not None})
    return config


@contextmanager
def _refusing_settings() -> Iterator[None]:
    """Raise SettingsError where librdkafka can't work with the settings, as with no CA file."""
    try:
        yield
    except KafkaException as error:
        raise SettingsError(f"AUDITBUS_KAFKA_*: {error.args[0].str()}") from error


@_refusing_settings()
def new_producer(kafka: KafkaSettings, overrides: Mapping[str, Option] | None = None) -> Producer:
    """Return an idempotent producer: acks from all replicas, order kept, no duplicates by retry."""
    return Producer(
        {
            **client_config(kafka),
            "enable.idempotence": True,
            "acks": "all",
            "partitioner": PARTITIONER,
            "compression.type": "lz4",
            "linger.ms": 5,
            # The broker's max.message.bytes judges a record's size, topic by topic.
            "message.max.bytes": 8 * 1024 * 1024,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 128 * 1024,
            **(overrides or {}),
        }
    )


@_refusing_settings()
def new_consumer(
    kafka: KafkaSettings, group: str, overrides: Mapping[str, Option] | None = None
) -> Consumer:
    """Return a consumer in `group` (prefix added) that commits only when it is told to.

    A group without a committed offset starts at the oldest event.
    """
    return Consumer(
        {
            **client_config(kafka),
            "group.id": kafka.group(group),
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": 10_000,
            "heartbeat.interval.ms": 2_000,
            # A replica that was reassigned, or a topic made anew, is noticed soon.
            "topic.metadata.refresh.interval.ms": 30_000,
            "fetch.wait.max.ms": 100,
            **(overrides or {}),
        }
    )


@_refusing_settings()
def new_admin(kafka: KafkaSettings) -> AdminClient:
    """Return an admin client."""
    return AdminClient(cast("dict[str, str | int | float | bool]", client_config(kafka)))


class _ErrorReporter:
    """Logs what librdkafka reports outside any call; it goes on trying by itself.

    A broker that is down is reported many times a second by every client: each kind of error is
    logged at most every `_REPORT_EVERY_S`, with the number of those that were not.
    """

    def __init__(self) -> None:
        self._last_logged: dict[str, float] = {}
        self._unlogged: Counter[str] = Counter()

    def __call__(self, error: KafkaError) -> None:
        name, now = error.name(), time.monotonic()
        if now - self._last_logged.get(name, -_REPORT_EVERY_S) < _REPORT_EVERY_S:
            self._unlogged[name] += 1
            return
        self._last_logged[name] = now
        _log.warning("kafka_client_error", error=error.str(), unlogged=self._unlogged.pop(name, 0))


_report_error = _ErrorReporter()
