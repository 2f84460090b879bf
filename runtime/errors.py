"""The error tree. `retriable` says whether the same call may succeed later.

AuditbusError                      (auditbus.schemas.errors)
├── InvalidEvent                   an event breaks the schema; names the field
├── CatalogueError                 an operator's catalogue file is wrong
├── SettingsError                  a setting is missing or wrong; names it
├── MissingExtra                   a role's packages are not installed; names the extra
├── Unreachable          retriable something outside does not answer; names the setting
│   ├── KafkaUnreachable
│   └── ClickHouseUnreachable
├── TopicMisconfigured             a topic is missing or not as it must be
├── OffsetLost                     the committed offset is no longer in the topic
├── WorkerFailed                   a process that helps this one ended or failed
├── StoreRefused                   ClickHouse refuses and no retry helps; says what to change
└── PublishError                   an event could not be published
    ├── QueueFull        retriable the producer's queue is full: nothing was sent
    │   └── SpoolFull              nor has the spool room, or its disk
    ├── ProducerClosed             emit() after close()
    ├── WouldBlock                 an emit that waits for Kafka, called in an event loop
    └── DeliveryFailed             the broker refused it, or no acknowledgement came in time
"""

from __future__ import annotations

from typing import ClassVar

from auditbus.schemas.errors import AuditbusError

__all__ = [
    "AuditbusError",
    "ClickHouseUnreachable",
    "DeliveryFailed",
    "KafkaUnreachable",
    "MissingExtra",
    "OffsetLost",
    "ProducerClosed",
    "PublishError",
    "QueueFull",
    "SettingsError",
    "SpoolFull",
    "StoreRefused",
    "TopicMisconfigured",
    "Unreachable",
    "WorkerFailed",
    "WouldBlock",
]


class SettingsError(AuditbusError):
    """A setting is missing or wrong; the message names it and never its secret value."""


class MissingExtra(AuditbusError):
    """A role was started without its packages."""

    def __init__(self, extra: str, package: str) -> None:
        """Say which extra to install."""
        super().__init__(f"{package} is not installed: pip install 'auditbus[{extra}]'")
        self.extra = extra


class Unreachable(AuditbusError):
    """Something outside this process does not answer; the message names the setting to check."""

    retriable: ClassVar[bool] = True


class KafkaUnreachable(Unreachable):
    """No broker answers."""


class ClickHouseUnreachable(Unreachable):
    """ClickHouse does not answer."""


class TopicMisconfigured(AuditbusError):
    """A topic is missing or not configured as the pipeline needs; says what to run or change."""


class OffsetLost(AuditbusError):
    """The committed offset is no longer in the topic: events may have been deleted unread.

    Never skipped silently: a person must decide from where to go on.
    """

    def __init__(self, topic: str, partition: int, offset: int | None, detail: str) -> None:
        """Keep where it happened."""
        where = f"{topic}[{partition}]" + ("" if offset is None else f" at offset {offset}")
        super().__init__(f"{where}: {detail}")
        self.topic = topic
        self.partition = partition
        self.offset = offset


class WorkerFailed(AuditbusError):
    """A worker process ended or failed; nothing of what it was given was done."""


class StoreRefused(AuditbusError):
    """ClickHouse refuses in a way that no retry changes: its schema, rights or settings."""


class PublishError(AuditbusError):
    """An event could not be published."""


class QueueFull(PublishError):
    """The producer's queue is full: the event was not taken, nothing was sent."""

    retriable: ClassVar[bool] = True


class SpoolFull(QueueFull):
    """The spool has reached its limit, or its disk failed: the event was not taken."""


class ProducerClosed(PublishError):
    """The producer has been closed."""


class WouldBlock(PublishError):
    """An emit that waits for Kafka would block the event loop that runs in this thread."""


class DeliveryFailed(PublishError):
    """Kafka did not acknowledge the event, or `count` of them.

    `may_retry` says whether publishing the same event (same id) again may succeed.
    """

    def __init__(
        self, reason: str, *, topic: str | None = None, may_retry: bool = False, count: int = 1
    ) -> None:
        """Keep the topic; `reason` is librdkafka's."""
        super().__init__(reason)
        self.topic = topic
        self.may_retry = may_retry
        self.count = count
