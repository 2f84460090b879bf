"""The JSON Schema of the event, generated from the code for producers in other languages.

`python -m auditbus.schemas.json_schema` writes `schemas/json/`; a test fails when it is stale.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from auditbus.schemas import event as limits
from auditbus.schemas.enriched import EnrichedEvent
from auditbus.schemas.event import AuditEvent

__all__ = ["FILES", "audit_event_schema", "enriched_event_schema", "write"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_UUID7 = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"
_UTC = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|\+00:00)$"


def audit_event_schema() -> dict[str, Any]:
    """Return the schema of what producers write. Size limits in bytes stand in its description."""
    schema = _schema_of(AuditEvent, "auditbus audit event, version 1")
    schema["description"] = (
        f"One audit event: a JSON object in UTF-8 of at most {limits.MAX_EVENT_BYTES} bytes, no "
        f"key repeated in any object; metadata at most {limits.MAX_METADATA_BYTES} bytes. Unknown "
        "fields are allowed and kept byte for byte. null on an optional field means absent."
    )
    # The names that the stream adds must not come from a producer.
    schema["properties"].update(dict.fromkeys(sorted(limits.RESERVED_FIELDS), False))
    return schema


def enriched_event_schema() -> dict[str, Any]:
    """Return the schema of what the stream writes and SIEM destinations receive."""
    schema = _schema_of(EnrichedEvent, "auditbus enriched event, version 1")
    schema["description"] = "An audit event and what the stream added: nothing is overwritten."
    return schema


def _schema_of(model: type[AuditEvent], title: str) -> dict[str, Any]:
    (reference,), definitions = msgspec.json.schema_components(
        [model], ref_template="#/$defs/{name}"
    )
    del reference
    root = definitions.pop(model.__name__)
    root["title"] = title
    properties = root["properties"]
    properties["id"]["pattern"] = _UUID7
    properties["schema_version"] = {"const": limits.SCHEMA_VERSION}
    properties["action"]["pattern"] = f"^{limits.ACTION_PATTERN}$"
    properties["occurred_at"] |= {"pattern": _UTC, "format": "date-time"}
    definitions["Account"]["properties"]["id"]["minLength"] = 1
    metadata = next(kind for kind in properties["metadata"]["anyOf"] if kind["type"] == "object")
    metadata["maxProperties"] = limits.MAX_METADATA_KEYS
    metadata["propertyNames"] = {"maxLength": limits.MAX_METADATA_KEY_CHARACTERS}
    return {"$schema": _DIALECT, **root, "$defs": definitions}


FILES = {
    "audit-event.v1.schema.json": audit_event_schema,
    "enriched-event.v1.schema.json": enriched_event_schema,
}


def write(folder: Path) -> None:
    """Write every schema file into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, build in FILES.items():
        (folder / name).write_text(json.dumps(build(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "json")
