"""The SDK that services import: `AuditProducer`. Loads confluent-kafka, orjson, msgspec."""

from auditbus.producers.delivery import Delivery
from auditbus.producers.fields import EventFields
from auditbus.producers.producer import AuditProducer
from auditbus.runtime.errors import (
    DeliveryFailed,
    ProducerClosed,
    PublishError,
    QueueFull,
    SettingsError,
)
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = [
    "AuditProducer",
    "Delivery",
    "DeliveryFailed",
    "EventFields",
    "InvalidEvent",
    "ProducerClosed",
    "PublishError",
    "QueueFull",
    "RejectCode",
    "SettingsError",
]
