"""The Kafka topics: names, and how each must be configured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

__all__ = ["TopicNames", "TopicSpec", "topic_specs"]

_DAY_MS = 24 * 60 * 60 * 1000
_FOREVER = "-1"
# A dead letter repeats a record that may itself be as large as the broker takes, plus headers.
_DEAD_LETTER_MAX_BYTES = str(4 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class TopicNames:
    """Every topic's name; `with_prefix` keeps several installations apart on one cluster."""

    events: str = "audit.events"
    enriched: str = "audit.events.enriched"
    signals: str = "audit.signals"
    alerts: str = "audit.alerts"
    dead_letters: str = "audit.dead-letters"
    forwarder_dead_letters: str = "audit.forwarder.dead-letters"
    forwarder_control: str = "audit.forwarder.control"

    @classmethod
    def with_prefix(cls, prefix: str) -> TopicNames:
        """Return the names with `prefix` before each (`"stage."` gives `stage.audit.events`)."""
        return cls(*(f"{prefix}{item.default}" for item in fields(cls)))

    def __iter__(self) -> Iterator[str]:
        """Yield every name."""
        return (getattr(self, item.name) for item in fields(self))


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """How one topic must be: `config` holds broker configuration names and values."""

    name: str
    partitions: int
    replication_factor: int
    config: dict[str, str] = field(default_factory=dict)


def topic_specs(
    names: TopicNames, *, partitions: int, replication_factor: int, min_insync_replicas: int
) -> tuple[TopicSpec, ...]:
    """Return what `auditbus topics create` makes and `doctor` compares with."""

    def spec(name: str, *, partitions: int = partitions, **config: str) -> TopicSpec:
        dotted = {key.replace("_", "."): value for key, value in config.items()}
        dotted["min.insync.replicas"] = str(min_insync_replicas)
        return TopicSpec(name, partitions, replication_factor, dotted)

    week = str(7 * _DAY_MS)
    return (
        # LogAppendTime: a client must not choose received_at, on which the retention stands.
        spec(names.events, retention_ms=week, message_timestamp_type="LogAppendTime"),
        spec(names.enriched, retention_ms=week),
        spec(names.signals, retention_ms=week),
        spec(names.alerts, retention_ms=week),
        # Dead letters may be the only copy of an event: never deleted by age.
        spec(
            names.dead_letters,
            partitions=1,
            retention_ms=_FOREVER,
            max_message_bytes=_DEAD_LETTER_MAX_BYTES,
        ),
        spec(
            names.forwarder_dead_letters,
            partitions=1,
            retention_ms=_FOREVER,
            max_message_bytes=_DEAD_LETTER_MAX_BYTES,
        ),
        spec(names.forwarder_control, partitions=1, cleanup_policy="compact"),
    )
