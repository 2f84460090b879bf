"""The page about encodings, made from what the encoders do.

The table of actions is the classification. The table of fields is found by trial: each field of one
full event is changed, and what then differs in the encoded event is where it goes.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping
from typing import Any

import cefp
import orjson

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem.encodings import ENCODINGS, Event
from auditbus.sinks.siem.encodings.classification import Kind, look_up
from auditbus.sinks.siem.encodings.ecs import ECS_VERSION
from auditbus.sinks.siem.encodings.ocsf import OCSF_VERSION
from auditbus.sinks.siem.encodings.severities import SEVERITY_NUMBERS

__all__ = ["encodings_page"]

_CATALOGUE = Catalogue.builtin()
_ENCODINGS = ("ocsf", "ecs", "cef", "leef")
_PROBE: dict[str, Any] = {
    "id": "019cd000-0000-7000-8000-000000000001",
    "schema_version": 1,
    "action": "StorageDeleted",
    "occurred_at": "2026-11-22T10:00:00.123Z",
    "account": {"id": "account-id", "name": "account-name"},
    "actor": {
        "type": "user",
        "id": "actor-id",
        "name": "actor-name",
        "email": "actor@example.com",
        "credential": {"type": "credential-type", "id": "credential-id"},
        "on_behalf_of": {"type": "delegate-type", "id": "delegate-id", "name": "delegate-name"},
    },
    "targets": [{"type": "target-type", "id": "target-id", "name": "target-name"}],
    "description": "description",
    "outcome": "success",
    "error": {"code": "error-code", "message": "error-message"},
    "context": {
        "ip": "203.0.113.9",
        "forwarded_for": ["198.51.100.7"],
        "user_agent": "agent",
        "client_hints": {"hint": "value"},
        "request_id": "request-id",
        "session_id": "session-id",
        "trace_id": "trace-id",
    },
    "changes": [{"field": "field", "before": 1, "after": 2}],
    "metadata": {"key": "value"},
    "producer": {"service": "service", "version": "1", "instance": "i", "epoch": 1, "seq": 1},
    "received_at": "2026-11-22T10:00:01.456Z",
    "category": "storage",
    "operation": "delete",
    "location": {
        "country_code": "DE",
        "country": "country",
        "region": "region",
        "city": "city",
        "latitude": 1.5,
        "longitude": 2.5,
        "asn": 64500,
        "as_organization": "network",
        "label": "location-label",
        "database": "database",
    },
    "device": {
        "type": "desktop",
        "brand": "brand",
        "model": "model",
        "os": "Windows",
        "os_version": "11",
        "browser": "browser",
        "browser_version": "131",
        "is_bot": False,
        "label": "device-label",
    },
    "origin": {"topic": "audit.events", "partition": 3, "offset": 17},
    "any unknown field": "unknown",
}
# What another value of a field looks like, where it is not the same with an x behind it.
_OTHERS: Mapping[str, Any] = {
    "id": "019cd000-0000-7000-8000-000000000002",
    "action": "StorageUpdated",
    "occurred_at": "2026-11-22T10:00:09.123Z",
    "received_at": "2026-11-22T10:00:09.456Z",
    "actor.type": "service",
    "actor.email": "other@example.com",
    "outcome": "failure",
    "context.ip": "203.0.113.8",
    "context.forwarded_for": ["198.51.100.8"],
    "changes": [{"field": "other"}],
    "category": "schedule",
    "operation": "update",
    "device.type": "mobile",
    "device.os": "Linux",
}
_NOT_CHANGED = {"schema_version"}
_WHOLE = {"context.client_hints", "context.forwarded_for", "changes", "metadata"}

_INTRODUCTION = f"""\
# Encodings

This page is generated from the code: `python docs/generate.py`.

Each destination of the forwarder names the form of its events:

```toml
[forwarder.destinations.siem]
type = "webhook"
url = "https://siem.example.com/audit-events"
secret_env = "SIEM_WEBHOOK_SECRET"
encoding = "ocsf"
```

| `encoding` | Form | Of |
| --- | --- | --- |
| `json` | the enriched event, byte for byte | [the event](events.md) |
| `ocsf` | one JSON object | Open Cybersecurity Schema Framework {OCSF_VERSION} |
| `ecs` | one JSON object | Elastic Common Schema {ECS_VERSION} |
| `cef` | one line of text | ArcSight Common Event Format, version 0 |
| `leef` | one line of text | IBM Log Event Extended Format 2.0, for QRadar |

`json` takes any JSON object. The others take events: one without `id`, `action` or `occurred_at`,
or with a field of the wrong type (only the raw topic can hold such), becomes a dead letter whose
reason names the field. What a format has no field for is kept: in `unmapped` (OCSF, LEEF),
`auditbus.unmapped` (ECS) or `auditbusUnmapped` (CEF)."""

_ACTIONS = """\
## Actions

An action is classified by its category and operation. Both come with the event, so an action from
your own catalogue maps like the built-in ones of its category; on the raw topic, which does not
have them, by the catalogue that the forwarder reads. An action of no known category is an API
Activity in OCSF and `api` in ECS.

Severity and description are the catalogue's, your own file's too (`catalogue` in the settings), in
every encoding, in the severity of syslog and OpenTelemetry and in `minimum_severity`. An action in
no catalogue is of *low* severity."""

_FIELDS = """\
## Fields

Found by changing each field of one event (a deleted storage) and looking at what differs. A field
that is missing or empty is left out. In OCSF, `entity` is what this event is about; other classes
have `user` (3001, 3002), `group` (3006), `web_resources` (6001), `resources` (6003) or `file`
(6006)."""

_NOTES = f"""\
- **Outcome.** A missing `outcome` is a failure where there is an `error`, else a success.
- **Impersonation.** ECS has `user` (who did it) and `user.effective` (as whom). OCSF has the
  impersonated user as `user` of an Authentication; elsewhere in `unmapped.actor.on_behalf_of`, to
  which `observables` point.
- **Addresses.** `context.ip` may carry a port or brackets: the address alone goes where a format
  wants one. IPv6 stands in `c6a2` of CEF, as `src` holds IPv4 only. What is no address is kept as
  text.
- **Numbers and times.** A coordinate or network number that an ECS index would refuse is text in
  `auditbus.location`. A time finer than milliseconds is kept as it came: in `auditbusOccurredAt` of
  CEF, `occurredAt` of LEEF, `metadata.original_time` of OCSF, `@timestamp` of ECS.
- **Any shape.** In ECS, `changes`, `metadata` and unknown fields are JSON text: as objects, a
  number in one event and text in the next would make an index refuse the second.
- **Escapes.** CEF writes `\\\\`, `\\=`, `\\|` and line breaks as its standard says. LEEF has no
  escapes: tabs and line breaks become spaces. In both, any other control character becomes
  U+FFFD. Right-to-left and zero-width characters are text, and stay.
- **Lengths.** CEF and LEEF cut a value at the length that they give its key. Where a destination
  has a cap for one event, the longest texts go first: unknown fields before `metadata` and
  `changes`, then user agent, description and error message, then names. Ids are never cut. What
  was cut ends in `…[truncated]`; an event that still does not fit is a dead letter (`too_large`).
- **Versions.** `metadata.version` {OCSF_VERSION} and `ecs.version` {ECS_VERSION} stand in every
  event."""


def encodings_page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION, _ACTIONS, _actions(), _custom(), _severities()]
    parts += [_FIELDS, _fields(), "## What to know", _NOTES]
    return "\n\n".join(parts) + "\n"


def _actions() -> str:
    head = ["Action", "OCSF class", "Activity", "`type_uid`", "ECS category", "Type", "Severity"]
    return _table(
        head, ([f"`{name}`", *_classified(look_up(_CATALOGUE, name))] for name in _CATALOGUE)
    )


def _custom() -> str:
    examples = (
        ("a created group", "group", "create"),
        ("a locked user", "user", "lock"),
        ("an archived project", "project", "archive"),
        ("an action in no catalogue", "other", "other"),
    )
    rows = (
        [
            what,
            f"`{category}`",
            f"`{operation}`",
            *_classified(look_up(_CATALOGUE, "X", category, operation))[:-1],
        ]
        for what, category, operation in examples
    )
    head = ["For example", "Category", "Operation", "OCSF class", "Activity", "`type_uid`"]
    return _table([*head, "ECS category", "Type"], rows)


def _severities() -> str:
    head = ["Severity", "OCSF `severity_id`", "ECS, CEF and LEEF"]
    rows = (
        [severity.value, str(severity.rank + 1), str(number)]
        for severity, number in SEVERITY_NUMBERS.items()
    )
    return _table(head, rows)


def _classified(kind: Kind) -> list[str]:
    number = kind.ocsf_class * 100 + kind.ocsf_activity
    return [
        str(kind.ocsf_class),
        f"{kind.ocsf_activity} {kind.ocsf_activity_name}",
        str(number),
        kind.ecs_category,
        ", ".join(kind.ecs_types),
        kind.severity.value,
    ]


def _fields() -> str:
    before = {name: _flat_event(name, _PROBE) for name in _ENCODINGS}
    rows = []
    for path in _paths(_PROBE):
        changed = _changed(path)
        cells = [f"`{path}`"]
        for name in _ENCODINGS:
            after = _flat_event(name, changed)
            differ = [
                key for key in before[name] | after if before[name].get(key) != after.get(key)
            ]
            cells.append(", ".join(f"`{key}`" for key in differ))
        rows.append(cells)
    return _table(["Field", "OCSF", "ECS", "CEF", "LEEF"], rows)


def _paths(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, part in value.items():
        path = f"{prefix}{name}"
        if path in _NOT_CHANGED:
            continue
        if isinstance(part, dict) and path not in _WHOLE:
            yield from _paths(part, f"{path}.")
        elif path == "targets":
            yield from (f"{path}.{key}" for key in part[0])
        else:
            yield path


def _changed(path: str) -> dict[str, Any]:
    fields = copy.deepcopy(_PROBE)
    *outer, last = path.split(".")
    place: Any = fields
    for name in outer:
        place = place[name] if isinstance(place[name], dict) else place[name][0]
    place[last] = _OTHERS.get(path, _another(place[last]))
    return fields


def _another(value: Any) -> Any:
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return f"{value}x"
        case dict():
            return value | {"more": "x"}
        case _:
            return [*value, *value]


def _flat_event(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    encode = ENCODINGS[name].encoder(_CATALOGUE)
    encoded = encode(Event(orjson.dumps(fields), fields, -1)).decode()
    if ENCODINGS[name].is_json:
        return dict(_flat(orjson.loads(encoded)))
    if name == "cef":
        record = cefp.parse(encoded)
        header = {
            "Device Event Class ID": record["device"]["event_class_id"],
            "Name": record["name"],
            "Severity": record["severity"],
        }
        return header | record["extension"]
    *leef_header, attributes = encoded.split("|", 6)
    pairs = (part.split("=", 1) for part in attributes.split("\t"))
    return {"EventID": leef_header[4], **dict(pairs)}


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        path = f"{prefix}{name}"
        if isinstance(part, list) and part and isinstance(part[0], dict):
            part = part[0]  # noqa: PLW2901  # the first stands for all
        if isinstance(part, dict) and path not in _AS_ONE:
            yield from _flat(part, f"{path}.")
        else:
            yield path, part


_AS_ONE = {"unmapped.metadata", "unmapped.changes", "unmapped.context.client_hints"}


def _table(head: list[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in cells)} |" for cells in lines)


def _cell(text: str) -> str:
    return re.sub(r"\|", r"\\|", text)
