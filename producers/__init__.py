"""The SDK that services import: `AuditProducer`. Loads confluent-kafka, orjson, msgspec.

Beside it: `auditbus.producers.asgi`, `.wsgi` (middleware), `.testing`, `.logging_handler`.
"""

from auditbus.producers.certainty import Certainty
from auditbus.producers.changes import changes_between, snapshot
from auditbus.producers.context import bind, bound, carry, current, unbind
from auditbus.producers.delivery import Delivery
from auditbus.producers.fields import EventFields
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.producer import AuditProducer
from auditbus.producers.recording import Recording, recorded
from auditbus.producers.redaction import Redactor
from auditbus.producers.secret_patterns import SecretPattern
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
    "Recording",
    "Redactor",
    "RejectCode",
    "SecretPattern",
    "SettingsError",
    "Spool",
    "SpoolFull",
    "WouldBlock",
    "bind",
    "bound",
    "carry",
    "changes_between",
    "current",
    "recorded",
    "snapshot",
    "unbind",
]
