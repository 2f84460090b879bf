"""LEEF lines through a strict reader of our own, made from IBM's specification alone."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import example, given

from auditbus import __version__
from auditbus.schemas.errors import RejectCode
from auditbus.sinks.siem.encodings import Unencodable
from tests.unit.encoding_events import (
    ACTIONS,
    CUSTOM,
    ENCODERS,
    event_of,
    failing,
    full,
    hostile_events,
    minimal,
    raw,
)
from tests.unit.leef_reader import LeefRecord, read_leef

_KEYS = {
    *("cat", "sev", "operation", "isLoginEvent", "isLogoutEvent", "devTime", "receivedTime"),
    *("eventId", "outcome", "description", "usrName", "role", "actorId", "actorEmail"),
    *("credential", "onBehalfOf", "accountName", "accountId", "resource", "src", "clientAddress"),
    *("forwardedFor", "userAgent", "requestId", "sessionId", "traceId", "errorCode"),
    *("errorMessage", "location", "device", "service", "changes", "metadata", "unmapped"),
}


def _read(fields: dict[str, Any], timestamp_ms: int = 1_795_341_602_000) -> LeefRecord:
    record = read_leef(ENCODERS["leef"](event_of(fields, timestamp_ms)).decode())
    assert (record.vendor, record.product) == ("auditbus", "auditbus")
    assert (record.version, record.event_id) == (__version__, fields["action"])
    assert record.attributes.keys() <= _KEYS
    assert all(record.attributes.values())
    if "src" in record.attributes:
        ip_address(record.attributes["src"])
    return record


_GOOD = "LEEF:2.0|a|b|c|d|x09|devTime=1795341600123"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("LEEF:1.0|a|b|c|d|devTime=1795341600123", "header"),
        (f"{_GOOD}\n{_GOOD}", "one line"),
        (f"{_GOOD}\tx", "no key"),
        (f"{_GOOD}\ta=1\ta=2", "twice"),
        (f"{_GOOD}\ta=\x00", "control"),
        (f"{_GOOD}\tsev=11", "sev"),
        (f"{_GOOD}\tusrName=" + "u" * 256, "too long"),
        ("LEEF:2.0|a|b|c||x09|devTime=1795341600123", "empty"),
        ("LEEF:2.0|a|b|c|d|x09|devTime=yesterday", "devTime"),
    ],
)
def test_the_reader_refuses_what_is_wrong(line: str, message: str) -> None:
    good = read_leef("LEEF:2.0|Lancope|StealthWatch|1.0|41|^|devTime=1795341600^src=10.0.1.8^sev=5")
    assert good.attributes["src"] == "10.0.1.8"
    with pytest.raises(ValueError, match=message):
        read_leef(line)


@pytest.mark.parametrize("shape", [full, minimal, failing])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action(action: str, shape: Any) -> None:
    fields = shape(action)
    attributes = _read(fields).attributes
    assert attributes["cat"] == fields["category"]
    assert attributes["operation"] == fields["operation"]
    assert attributes["outcome"] == ("failure" if shape is failing else "success")
    assert attributes.get("isLoginEvent") == ("true" if action == "Login" else None)
    assert attributes.get("isLogoutEvent") == ("true" if action == "Logout" else None)


@pytest.mark.parametrize(("action", "category", "operation"), CUSTOM)
def test_an_operators_own_action(action: str, category: str, operation: str) -> None:
    attributes = _read(full(action, (category, operation))).attributes
    assert (attributes["cat"], attributes["operation"]) == (category, operation)


def test_every_value_of_a_full_event() -> None:
    fields = failing()
    attributes = _read(fields).attributes
    assert attributes == {
        "cat": "storage",
        "sev": "8",
        "operation": "delete",
        "devTime": "1795341600123",
        "receivedTime": "1795341601456",
        "eventId": fields["id"],
        "outcome": "failure",
        "description": "Deleted the storage of Berlin",
        "usrName": "Ann Smith",
        "role": "user",
        "actorId": "u-17",
        "actorEmail": "ann@example.com",
        "credential": "api_token:tok-5",
        "onBehalfOf": "user:u-99 (Bob Jones)",
        "accountName": "Acme Corporation",
        "accountId": "acme",
        "resource": "storage:s-1 (Primary); user:u-30 (Cleo)",
        "src": "2a02:8108::1",
        "forwardedFor": "203.0.113.9, 198.51.100.7",
        "userAgent": fields["context"]["user_agent"],
        "requestId": "req-8812",
        "sessionId": "ses-4",
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "errorCode": "403",
        "errorMessage": "forbidden",
        "location": "Berlin, Germany",
        "device": "Chrome 131 on Windows 11",
        "service": "billing",
        "changes": '[{"field":"name","before":"Old","after":{"deep":[1,null]}}]',
        "metadata": '{"region":"eu-central-1","size_bytes":12345}',
        "unmapped": attributes["unmapped"],
    }
    for value in ("City-2026", "Example Net", "pod-9", "sec-ch-ua-platform", "audit.events"):
        assert value in attributes["unmapped"]


def test_the_raw_topic() -> None:
    attributes = _read(raw("Unheard.Of"), timestamp_ms=-1).attributes
    assert (attributes["cat"], attributes["sev"]) == ("other", "3")
    assert "receivedTime" not in attributes


def test_a_name_past_its_limit_is_cut_with_a_mark() -> None:
    attributes = _read(
        minimal(actor={"type": "user", "id": "i" * 300, "name": "n" * 300})
    ).attributes
    assert attributes["usrName"] == "n" * 243 + "…[truncated]"
    assert attributes["actorId"] == "i" * 300


@pytest.mark.parametrize("time", ["1999-12-31T23:59:59Z", "2300-01-01T00:00:00Z"])
def test_a_time_that_has_no_13_digits_is_refused(time: str) -> None:
    with pytest.raises(Unencodable, match="occurred_at: ") as refused:
        ENCODERS["leef"](event_of(minimal(occurred_at=time)))
    assert refused.value.code == RejectCode.INVALID_VALUE


def _shown(text: str) -> str:
    return "".join(
        " "
        if char in "\t\n\r"
        else "\ufffd"
        if ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029"
        else char
        for char in text
    )


@given(hostile_events)
@example(raw(actor={"type": "user", "name": "a\tusrName=root\nLEEF:2.0|x|y|1|2|x09|sev=10"}))
def test_hostile_text_changes_no_other_attribute(fields: dict[str, Any]) -> None:
    attributes = _read(fields).attributes
    actor, context = fields.get("actor", {}), fields.get("context", {})
    for key, text in {
        "usrName": actor.get("name") or actor.get("email") or actor.get("id"),
        "actorId": actor.get("id"),
        "accountId": fields.get("account", {}).get("id"),
        "userAgent": context.get("user_agent"),
        "errorMessage": fields.get("error", {}).get("message"),
        "service": fields.get("producer", {}).get("service"),
    }.items():
        assert attributes.get(key) == (_shown(text) if text else None), key
    assert attributes["eventId"] == fields["id"]
