"""The SDK that services import: `AuditProducer`. Loads confluent-kafka, orjson, msgspec."""

from auditbus.producers.certainty import Certainty
from auditbus.producers.delivery import Delivery
from auditbus.producers.fields import EventFields
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.producer import AuditProducer
from auditbus.producers.spool import Spool
from auditbus.runtime.errors import (
    DeliveryFailed,
    ProducerClosed,
    PublishError,
    QueueFull,
    SettingsError,
    SpoolFull,
    WouldBlock,
)
from auditbus.schemas.errors import InvalidEvent, RejectCode

__all__ = [
    "AuditProducer",
    "Certainty",
    "Delivery",
    "DeliveryFailed",
    "EventFields",
    "InvalidEvent",
    "ProducerClosed",
    "ProducerMetrics",
    "PublishError",
    "QueueFull",
    "RejectCode",
    "SettingsError",
    "Spool",
    "SpoolFull",
    "WouldBlock",
]
