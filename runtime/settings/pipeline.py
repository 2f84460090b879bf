"""Settings of Kafka, the store and the roles that move events; of the logs of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr

from auditbus.runtime.settings.section import Section
from auditbus.schemas.topics import TopicNames

__all__ = [
    "ClickHouseSettings",
    "ForwarderSettings",
    "KafkaSettings",
    "LogSettings",
    "SinkSettings",
    "StreamSettings",
]


class KafkaSettings(Section):
    """How to reach Kafka, and how the topics are made."""

    bootstrap_servers: str = "127.0.0.1:9092"
    """Brokers, `host:port` separated by commas."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    """How to talk to the brokers."""
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    """SASL mechanism, where the protocol has SASL."""
    sasl_username: str | None = None
    """SASL user."""
    sasl_password: SecretStr | None = None
    """SASL password."""
    ssl_ca_location: Path | None = None
    """File of the certificate authorities that signed the brokers' certificates."""
    topic_prefix: str = ""
    """Put before every topic and consumer group, to keep installations apart on one cluster."""
    partitions: int = Field(12, ge=1, le=10_000)
    """Partitions of the event topics when they are created."""
    replication_factor: int = Field(1, ge=1, le=32)
    """Replicas of each topic when it is created; 3 in production."""
    min_insync_replicas: int = Field(1, ge=1, le=32)
    """Replicas that must have an event before it counts as written; 2 in production."""
    require_log_append_time: bool = True
    """Refuse a raw topic whose timestamps producers may choose. Only Tansu needs false."""

    @property
    def topics(self) -> TopicNames:
        """The topics' names with the prefix."""
        return TopicNames.with_prefix(self.topic_prefix)

    def group(self, name: str) -> str:
        """Return the consumer group called `name`, with the prefix."""
        return f"{self.topic_prefix}{name}"


class ClickHouseSettings(Section):
    """How to reach ClickHouse over HTTP."""

    url: str = "http://127.0.0.1:8123"
    """Address of ClickHouse's HTTP interface."""
    username: str = "default"
    """User."""
    password: SecretStr | None = None
    """Password; in local mode the token of DIR/endpoints.json."""
    dictionary_user: str = Field("default", min_length=1)
    """Passwordless server user, allowed from the server only, that reads the dictionaries."""
    connect_timeout_s: float = Field(5.0, gt=0)
    """Seconds to wait for a connection."""
    request_timeout_s: float = Field(60.0, gt=0)
    """Seconds to wait for an answer to one request."""


class StreamSettings(Section):
    """The Faust stream."""

    geoip_city: Path | None = None
    """City database (GeoLite2-City or GeoIP2-City .mmdb). Default: the DB-IP one of the install."""
    geoip_asn: Path | None = None
    """ASN database (GeoLite2-ASN .mmdb), optional."""
    geoip_reload_s: float = Field(10.0, gt=0)
    """Seconds between looks for a replaced database file."""
    flush_events: int = Field(10_000, ge=1)
    """Most events produced before waiting for the brokers' acknowledgement."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9101, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""
    web_port: int | None = Field(None, ge=1, le=65535)
    """Port of Faust's own web view; off unless set."""


class SinkSettings(Section):
    """The ClickHouse sink."""

    batch_rows: int = Field(25_000, ge=1, le=1_000_000)
    """Most events of one insert."""
    batch_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    """Most bytes of one insert."""
    linger_ms: int = Field(250, ge=0)
    """Milliseconds an insert waits for more events."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9102, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""


class ForwarderSettings(Section):
    """The SIEM forwarder. `destinations` maps a name to that destination's own settings."""

    destinations: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Destinations by name, in auditbus.toml as [forwarder.destinations.NAME]."""
    health_host: str = "127.0.0.1"
    """Address of /healthz, /readyz and /metrics."""
    health_port: int = Field(9103, ge=0, le=65535)
    """Port of /healthz, /readyz and /metrics; 0 takes a free one."""
    buffer_mb: int = Field(64, ge=4, le=4096)
    """Most megabytes of events held by all destinations together; each has the same part."""


class LogSettings(Section):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["text", "json"] = "text"
    """text for people, json for collectors."""
