"""The event and its words: validation, action catalogue, topics, JSON Schema, ClickHouse DDL.

Versioning rule. `schema_version` is 1. A new optional field does not change it: readers that do
not know a field keep it byte for byte. A change that would make an older reader misunderstand an
event (a field removed, renamed, or given another meaning) makes version 2; a stream that meets a
version it does not know sends the record to the dead letters as `unsupported_version`, whole, and
`auditbus dead-letters replay` publishes it again once the stream has been upgraded.
"""

from auditbus.schemas.catalogue import Action, Catalogue, CatalogueError, Severity
from auditbus.schemas.enriched import (
    Device,
    EnrichedEvent,
    Location,
    Origin,
    decode_enriched,
    decode_event,
)
from auditbus.schemas.errors import AuditbusError, InvalidEvent, RejectCode
from auditbus.schemas.event import (
    MAX_EVENT_BYTES,
    RESERVED_FIELDS,
    SCHEMA_VERSION,
    Account,
    Actor,
    AuditEvent,
    Change,
    Context,
    EventError,
    ProducerStamp,
    Target,
)
from auditbus.schemas.ids import is_uuid7, uuid7
from auditbus.schemas.timestamps import format_epoch_ms, parse_rfc3339
from auditbus.schemas.topics import TopicNames, TopicSpec, topic_specs
from auditbus.schemas.validation import validate

__all__ = [
    "MAX_EVENT_BYTES",
    "RESERVED_FIELDS",
    "SCHEMA_VERSION",
    "Account",
    "Action",
    "Actor",
    "AuditEvent",
    "AuditbusError",
    "Catalogue",
    "CatalogueError",
    "Change",
    "Context",
    "Device",
    "EnrichedEvent",
    "EventError",
    "InvalidEvent",
    "Location",
    "Origin",
    "ProducerStamp",
    "RejectCode",
    "Severity",
    "Target",
    "TopicNames",
    "TopicSpec",
    "decode_enriched",
    "decode_event",
    "format_epoch_ms",
    "is_uuid7",
    "parse_rfc3339",
    "topic_specs",
    "uuid7",
    "validate",
]
