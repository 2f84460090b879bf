"""Events for the tests of the encodings, as the stream publishes them, and hostile text."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import strategies as st

from auditbus.schemas import Catalogue
from auditbus.sinks.siem.encodings import ENCODINGS, Event

__all__ = [
    "ACTIONS",
    "CUSTOM",
    "ENCODERS",
    "anything",
    "event_of",
    "failing",
    "full",
    "hostile_events",
    "hostile_text",
    "minimal",
    "raw",
]

ACTIONS = sorted(Catalogue.builtin())
ENCODERS = {name: one.encoder(Catalogue.builtin()) for name, one in ENCODINGS.items()}
# (action, category, operation): an operator's own, in known categories and in none.
CUSTOM = [
    ("InvoicePaid", "billing", "pay"),
    ("TicketCreated", "support", "create"),
    ("TeamCreated", "group", "create"),
    ("TeamMemberAdded", "group", "add"),
    ("UserLocked", "user", "lock"),
    ("UserInvited", "user", "invite"),
    ("MfaFailed", "authentication", "challenge"),
    ("ReportRead", "report", "read"),
    ("a.b:c_d-1", "other", "other"),
    ("StorageDeleted", "vault", "purge"),  # an operator's word against the built-in one
]
_ID = "019cd000-0000-7000-8000-000000000001"
_AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/131.0.0.0 Safari/537.36"
)


def _words(action: str, words: tuple[str, str] | None) -> dict[str, Any]:
    known = Catalogue.builtin().describe(action)
    category, operation = words or (known.category, known.operation)
    return {"category": category, "operation": operation}


def raw(action: str = "StorageDeleted", **fields: Any) -> dict[str, Any]:
    """As a producer sends it, with nothing optional."""
    return {
        "id": _ID,
        "schema_version": 1,
        "action": action,
        "occurred_at": "2026-11-22T10:00:00.123Z",
        **fields,
    }


def minimal(
    action: str = "StorageDeleted", words: tuple[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    """As the stream publishes an event with nothing optional."""
    return {
        **raw(action),
        "account": {"id": "acme"},
        "received_at": "2026-11-22T10:00:01.456Z",
        **_words(action, words),
        "location": {},
        "device": {},
        "origin": {"topic": "audit.events", "partition": 3, "offset": 17},
        **fields,
    }


def full(
    action: str = "StorageDeleted", words: tuple[str, str] | None = None, **fields: Any
) -> dict[str, Any]:
    """Every field, with a value of its own."""
    return {
        **raw(action),
        "account": {"id": "acme", "name": "Acme Corporation"},
        "actor": {
            "type": "user",
            "id": "u-17",
            "name": "Ann Smith",
            "email": "ann@example.com",
            "credential": {"type": "api_token", "id": "tok-5"},
            "on_behalf_of": {"type": "user", "id": "u-99", "name": "Bob Jones"},
        },
        "targets": [
            {"type": "storage", "id": "s-1", "name": "Primary"},
            {"type": "user", "id": "u-30", "name": "Cleo"},
        ],
        "description": "Deleted the storage of Berlin",
        "outcome": "success",
        "context": {
            "ip": "2a02:8108::1",
            "forwarded_for": ["203.0.113.9", "198.51.100.7"],
            "user_agent": _AGENT,
            "client_hints": {"sec-ch-ua-platform": "Windows"},
            "request_id": "req-8812",
            "session_id": "ses-4",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        },
        "changes": [{"field": "name", "before": "Old", "after": {"deep": [1, None]}}],
        "metadata": {"region": "eu-central-1", "size_bytes": 12345},
        "producer": {
            "service": "billing",
            "version": "2.3",
            "instance": "pod-9",
            "epoch": 7,
            "seq": 41,
        },
        "received_at": "2026-11-22T10:00:01.456Z",
        **_words(action, words),
        "location": {
            "country_code": "DE",
            "country": "Germany",
            "region": "Land Berlin",
            "city": "Berlin",
            "latitude": 52.5,
            "longitude": 13.4,
            "asn": 64500,
            "as_organization": "Example Net",
            "label": "Berlin, Germany",
            "database": "City-2026",
        },
        "device": {
            "type": "desktop",
            "brand": "Apple",
            "model": "Mac",
            "os": "Windows",
            "os_version": "11",
            "browser": "Chrome",
            "browser_version": "131",
            "is_bot": False,
            "label": "Chrome 131 on Windows 11",
        },
        "origin": {"topic": "audit.events", "partition": 3, "offset": 17},
        **fields,
    }


def failing(action: str = "StorageDeleted", words: tuple[str, str] | None = None) -> dict[str, Any]:
    """A failure that its `outcome` leaves to the error."""
    fields = full(action, words, error={"code": "403", "message": "forbidden"})
    del fields["outcome"]
    return fields


def event_of(fields: dict[str, Any], timestamp_ms: int = 1_795_341_602_000) -> Event:
    value = orjson.dumps(fields)
    return Event(value, orjson.loads(value), timestamp_ms)


_TRAPS = st.sampled_from(
    [
        *("=", "|", "\\", "\\n", "\n", "\r\n", "\t", "\0", "\x1b[2J", "\x7f", "\x85", "\u2028"),
        *("\u202e", "\u200b", "\ufeff", "\u0645\u0631", " ", "  ", "", '"', "]", "%0a", "\v\f"),
        *("\x1c", "\x1d", "\x1e", "\x1f", "\x9b", "\U0001f468\u200d\U0001f469", "e\u0301"),
        *("CEF:0|a|b|c|d|e|9|", "\nCEF:0|x|y|1|Evil|e|9|act=x", " suser=root", "\tusrName=root"),
        *("\\= suser=root", "\\| x", "cs1Label=x cs1=y", "LEEF:2.0|a|b|c|d|x09|", "x09", "\\"),
    ]
)
hostile_text = st.lists(_TRAPS | st.text(max_size=8), max_size=6).map("".join)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | hostile_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hostile_text, inner, max_size=3),
    max_leaves=8,
)
_party = st.fixed_dictionaries(
    {}, optional={"type": hostile_text, "id": hostile_text, "name": hostile_text}
)
_hostile_fields = st.fixed_dictionaries(
    {"action": st.sampled_from([*ACTIONS, "Custom.Action"])},
    optional={
        "account": st.fixed_dictionaries(
            {"id": hostile_text.map(lambda text: text or "a")}, optional={"name": hostile_text}
        ),
        "actor": st.fixed_dictionaries(
            {"type": st.sampled_from(["user", "service", "system"])},
            optional={
                "id": hostile_text,
                "name": hostile_text,
                "email": hostile_text,
                "credential": _party.map(lambda one: {k: one[k] for k in one if k != "name"}),
                "on_behalf_of": _party,
            },
        ),
        "targets": st.lists(_party, max_size=3),
        "description": hostile_text,
        "outcome": st.sampled_from(["success", "failure", "unknown"]),
        "error": st.fixed_dictionaries(
            {}, optional={"code": hostile_text, "message": hostile_text}
        ),
        "context": st.fixed_dictionaries(
            {},
            optional={
                "ip": hostile_text | st.ip_addresses().map(str),
                "forwarded_for": st.lists(hostile_text, max_size=2),
                "user_agent": hostile_text,
                "client_hints": st.dictionaries(hostile_text, hostile_text, max_size=2),
                "request_id": hostile_text,
                "session_id": hostile_text,
                "trace_id": hostile_text,
            },
        ),
        "changes": st.lists(
            st.fixed_dictionaries({"field": hostile_text, "before": _json}), max_size=2
        ),
        "metadata": st.dictionaries(hostile_text, _json, max_size=3),
        "producer": st.fixed_dictionaries(
            {}, optional={"service": hostile_text, "seq": st.integers(0, 2**64 - 1)}
        ),
        "location": st.fixed_dictionaries(
            {}, optional={"city": hostile_text, "label": hostile_text, "country_code": hostile_text}
        ),
        "device": st.fixed_dictionaries({}, optional={"os": hostile_text, "label": hostile_text}),
        "unknown": _json,
    },
)
# What nobody knows has names of its own, which may be as hostile.
hostile_events = st.builds(
    lambda unknown, fields: {**unknown, **raw(), **fields},
    st.dictionaries(hostile_text, _json, max_size=2),
    _hostile_fields,
)

# Any JSON object that is called an event: known names, with what they may not hold.
anything = st.dictionaries(
    st.sampled_from([*full(), *raw(), "error", "unknown"]), _json, max_size=6
).flatmap(lambda fields: st.sampled_from([fields, {**raw(), **fields}, {**full(), **fields}]))
