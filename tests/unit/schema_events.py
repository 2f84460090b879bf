"""Events for the tests of validation and of the JSON Schema: good ones, bad ones, bad bytes."""

import json
from typing import Any

import msgspec
import orjson

from auditbus.schemas import MAX_EVENT_BYTES, RESERVED_FIELDS, AuditEvent, RejectCode

__all__ = ["BAD", "BAD_BYTES", "FULL", "GOOD", "MINIMAL", "OPTIONAL", "decoded", "with_fields"]

MINIMAL: dict[str, Any] = {
    "id": "019cd000-0000-7000-8000-000000000001",
    "schema_version": 1,
    "action": "StorageDeleted",
    "occurred_at": "2026-11-22T10:00:00.123Z",
}
FULL: dict[str, Any] = {
    **MINIMAL,
    "account": {"id": "acme", "name": "Acme"},
    "actor": {
        "type": "user",
        "id": "u-1",
        "name": "Ann",
        "email": "ann@example.com",
        "credential": {"type": "token", "id": "t-1"},
        "on_behalf_of": {"type": "user", "id": "u-2", "name": "Bob"},
    },
    "targets": [{"type": "storage", "id": "s-1", "name": "Primary"}],
    "description": "Deleted a storage",
    "outcome": "failure",
    "error": {"code": "403", "message": "forbidden"},
    "context": {
        "ip": "no address at all",
        "forwarded_for": ["203.0.113.9"],
        "user_agent": "x" * 5_000,
        "client_hints": {"sec-ch-ua-platform": "Windows", "sec-ch-ua-model": None},
        "request_id": "r-1",
        "session_id": "s-1",
        "trace_id": "t-1",
    },
    "changes": [{"field": "name", "before": 1, "after": {"any": ["thing"]}, "redacted": False}],
    "metadata": {"nested": {"deep": [1, 2.5, None, True]}},
    "producer": {"service": "s", "version": "1", "instance": "i", "epoch": 1, "seq": 7},
    "a field from the future": {"kept": True},
}
OPTIONAL = sorted(AuditEvent.__struct_fields__[4:])


def with_fields(**fields: Any) -> dict[str, Any]:
    return {**MINIMAL, **fields}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in MINIMAL.items() if key != name}


GOOD: dict[str, dict[str, Any]] = {
    "minimal": MINIMAL,
    "full": FULL,
    "every optional field null": {**MINIMAL, **dict.fromkeys(OPTIONAL)},
    "upper-case id": with_fields(id=MINIMAL["id"].upper()),
    "no decimals": with_fields(occurred_at="2026-11-22T10:00:00Z"),
    "nine decimals": with_fields(occurred_at="2026-11-22T10:00:00.123456789Z"),
    "zero offset": with_fields(occurred_at="2026-11-22T10:00:00+00:00"),
    "leap day": with_fields(occurred_at="2028-02-29T00:00:00Z"),
    "longest action": with_fields(action="A" * 100),
    "punctuated action": with_fields(action="a.b:c_d-1"),
    "no account": with_fields(account=None),
    "empty objects": with_fields(
        actor={"type": "system"}, context={}, error={}, targets=[{}], metadata={}
    ),
    "50 keys of 40 characters": with_fields(metadata={f"{n:040}": n for n in range(50)}),
    "unknown fields within objects": with_fields(actor={"type": "user", "department": "R&D"}),
}
# name: (event, code, field, does the JSON Schema refuse it too)
BAD: dict[str, tuple[Any, RejectCode, str | None, bool]] = {
    "an array": ([MINIMAL], RejectCode.NOT_AN_OBJECT, None, True),
    "a string": ("event", RejectCode.NOT_AN_OBJECT, None, True),
    "null": (None, RejectCode.NOT_AN_OBJECT, None, True),
    **{
        f"no {name}": (_without(name), RejectCode.MISSING_FIELD, name, True)
        for name in ("id", "schema_version", "action", "occurred_at")
    },
    **{
        f"{name} is reserved": (with_fields(**{name: None}), RejectCode.RESERVED_NAME, name, True)
        for name in sorted(RESERVED_FIELDS)
    },
    "version 2": (
        with_fields(schema_version=2),
        RejectCode.UNSUPPORTED_VERSION,
        "schema_version",
        True,
    ),
    "version 2 with rules of its own": (
        {"schema_version": 2, "location": 1},
        RejectCode.UNSUPPORTED_VERSION,
        "schema_version",
        True,
    ),
    "version 0": (
        with_fields(schema_version=0),
        RejectCode.UNSUPPORTED_VERSION,
        "schema_version",
        True,
    ),
    "version as text": (
        with_fields(schema_version="1"),
        RejectCode.WRONG_TYPE,
        "schema_version",
        True,
    ),
    "version as boolean": (
        with_fields(schema_version=True),
        RejectCode.WRONG_TYPE,
        "schema_version",
        True,
    ),
    "version null": (
        with_fields(schema_version=None),
        RejectCode.WRONG_TYPE,
        "schema_version",
        True,
    ),
    "id of another version": (
        with_fields(id="019cd000-0000-4000-8000-000000000001"),
        RejectCode.INVALID_VALUE,
        "id",
        True,
    ),
    "id without hyphens": (
        with_fields(id="019cd00000007000800000000000000"),
        RejectCode.INVALID_VALUE,
        "id",
        True,
    ),
    "id with a line break": (
        with_fields(id=MINIMAL["id"] + "\n"),
        RejectCode.INVALID_VALUE,
        "id",
        False,
    ),
    "id a number": (with_fields(id=7), RejectCode.WRONG_TYPE, "id", True),
    "empty action": (with_fields(action=""), RejectCode.INVALID_VALUE, "action", True),
    "action with a space": (
        with_fields(action="Storage Deleted"),
        RejectCode.INVALID_VALUE,
        "action",
        True,
    ),
    "action from a digit": (with_fields(action="1Login"), RejectCode.INVALID_VALUE, "action", True),
    "action too long": (with_fields(action="A" * 101), RejectCode.INVALID_VALUE, "action", True),
    "action in Greek": (with_fields(action="Διαγραφή"), RejectCode.INVALID_VALUE, "action", True),
    "time of another zone": (
        with_fields(occurred_at="2026-11-22T12:00:00+02:00"),
        RejectCode.INVALID_VALUE,
        "occurred_at",
        True,
    ),
    "time without a zone": (
        with_fields(occurred_at="2026-11-22T10:00:00"),
        RejectCode.INVALID_VALUE,
        "occurred_at",
        True,
    ),
    "time as a number": (
        with_fields(occurred_at=1763805600),
        RejectCode.WRONG_TYPE,
        "occurred_at",
        True,
    ),
    "ten decimals": (
        with_fields(occurred_at="2026-11-22T10:00:00.1234567890Z"),
        RejectCode.INVALID_VALUE,
        "occurred_at",
        True,
    ),
    "a day that does not exist": (
        with_fields(occurred_at="2026-02-29T10:00:00Z"),
        RejectCode.INVALID_VALUE,
        "occurred_at",
        False,
    ),
    "account a string": (with_fields(account="acme"), RejectCode.WRONG_TYPE, "account", True),
    "account without id": (with_fields(account={}), RejectCode.MISSING_FIELD, "account.id", True),
    "account with an empty id": (
        with_fields(account={"id": ""}),
        RejectCode.INVALID_VALUE,
        "account.id",
        True,
    ),
    "account id a number": (
        with_fields(account={"id": 7}),
        RejectCode.WRONG_TYPE,
        "account.id",
        True,
    ),
    "actor without type": (
        with_fields(actor={"id": "u"}),
        RejectCode.MISSING_FIELD,
        "actor.type",
        True,
    ),
    "actor of another type": (
        with_fields(actor={"type": "robot"}),
        RejectCode.INVALID_VALUE,
        "actor.type",
        True,
    ),
    "actor's token id": (
        with_fields(actor={"type": "user", "credential": {"id": 7}}),
        RejectCode.WRONG_TYPE,
        "actor.credential.id",
        True,
    ),
    "targets an object": (with_fields(targets={}), RejectCode.WRONG_TYPE, "targets", True),
    "second target's name": (
        with_fields(targets=[{}, {"name": 7}]),
        RejectCode.WRONG_TYPE,
        "targets[1].name",
        True,
    ),
    "outcome of another kind": (
        with_fields(outcome="maybe"),
        RejectCode.INVALID_VALUE,
        "outcome",
        True,
    ),
    "error a string": (with_fields(error="boom"), RejectCode.WRONG_TYPE, "error", True),
    "context's ip": (with_fields(context={"ip": 1}), RejectCode.WRONG_TYPE, "context.ip", True),
    "change without field": (
        with_fields(changes=[{"before": 1}]),
        RejectCode.MISSING_FIELD,
        "changes[0].field",
        True,
    ),
    "metadata a list": (with_fields(metadata=[]), RejectCode.WRONG_TYPE, "metadata", True),
    "51 metadata keys": (
        with_fields(metadata={str(n): n for n in range(51)}),
        RejectCode.INVALID_VALUE,
        "metadata",
        True,
    ),
    "metadata key of 41 characters": (
        with_fields(metadata={"k" * 41: 1}),
        RejectCode.INVALID_VALUE,
        f"metadata.{'k' * 40}…",
        True,
    ),
    "metadata past 64 KiB": (
        with_fields(metadata={"k": "x" * 65_536}),
        RejectCode.INVALID_VALUE,
        "metadata",
        False,
    ),
    "seq a float": (
        with_fields(producer={"seq": 1.5}),
        RejectCode.WRONG_TYPE,
        "producer.seq",
        True,
    ),
}
BAD_BYTES: dict[str, tuple[bytes | None, RejectCode, str | None]] = {
    "tombstone": (None, RejectCode.TOMBSTONE, None),
    "empty": (b"", RejectCode.EMPTY, None),
    "blank": (b"  \n", RejectCode.MALFORMED_JSON, None),
    "cut off": (orjson.dumps(MINIMAL)[:-1], RejectCode.MALFORMED_JSON, None),
    "two events": (orjson.dumps(MINIMAL) * 2, RejectCode.MALFORMED_JSON, None),
    "NaN": (b'{"metadata":{"x":NaN}}', RejectCode.MALFORMED_JSON, None),
    "Infinity": (b'{"metadata":{"x":-Infinity}}', RejectCode.MALFORMED_JSON, None),
    "a number that overflows": (
        orjson.dumps(MINIMAL)[:-1] + b',"metadata":{"x":1e999}}',
        RejectCode.MALFORMED_JSON,
        None,
    ),
    "a whole number past 64 bits": (
        orjson.dumps(MINIMAL)[:-1] + b',"metadata":{"x":123456789012345678901}}',
        RejectCode.INVALID_VALUE,
        None,
    ),
    "byte order mark": (b"\xef\xbb\xbf" + orjson.dumps(MINIMAL), RejectCode.MALFORMED_JSON, None),
    "UTF-16": (json.dumps(MINIMAL).encode("utf-16"), RejectCode.NOT_UTF8, None),
    "broken UTF-8 in a known field": (
        orjson.dumps(with_fields(description="~")).replace(b"~", b"\xff"),
        RejectCode.NOT_UTF8,
        None,
    ),
    "broken UTF-8 in an unknown field": (
        orjson.dumps(with_fields(unknown={"x": "~"})).replace(b"~", b"\xc3\x28"),
        RejectCode.NOT_UTF8,
        None,
    ),
    "half a surrogate pair": (
        orjson.dumps(with_fields(unknown="~")).replace(b"~", rb"\ud800"),
        RejectCode.MALFORMED_JSON,
        None,
    ),
    "too large": (
        orjson.dumps(with_fields(x="x" * MAX_EVENT_BYTES)),
        RejectCode.TOO_LARGE,
        None,
    ),
    "repeated key": (
        orjson.dumps(MINIMAL)[:-1] + b',"action":"Login"}',
        RejectCode.REPEATED_KEY,
        "action",
    ),
    "repeated key spelt another way": (
        orjson.dumps(MINIMAL)[:-1] + rb',"\u0061ction":"Login"}',
        RejectCode.REPEATED_KEY,
        "action",
    ),
    "repeated key in an unknown object": (
        orjson.dumps(MINIMAL)[:-1] + b',"unknown":[{"a":1,"a":1}]}',
        RejectCode.REPEATED_KEY,
        "a",
    ),
    "reserved name spelt another way": (
        orjson.dumps(MINIMAL)[:-1] + rb',"\u006cocation":{}}',
        RejectCode.RESERVED_NAME,
        "location",
    ),
    "arrays in arrays": (b"[" * 100_000, RejectCode.TOO_DEEP, None),
    "objects in objects": (b'{"a":' * 40_000 + b"1" + b"}" * 40_000, RejectCode.TOO_DEEP, None),
    "a deep unknown field": (
        orjson.dumps(MINIMAL)[:-1] + b',"unknown":' + b"[" * 300 + b"]" * 300 + b"}",
        RejectCode.TOO_DEEP,
        None,
    ),
}


def decoded(event: dict[str, Any]) -> AuditEvent:
    """The typed view, made without validate()."""
    return msgspec.convert(event, AuditEvent)
