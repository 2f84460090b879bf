"""CEF lines through a parser that is not ours (cefp), against ArcSight's own dictionary (cefevent).

Of the parsers on PyPI, cefp alone undoes every escape of the standard, in header and values; pycef
(and jc, which uses it) refuses a header with a backslash and leaves escapes as they are.
"""

from __future__ import annotations

import re
from typing import Any

import cefp
import pytest
from cefevent.extensions import extension_dictionary
from hypothesis import example, given

from auditbus import __version__
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

# ArcSight's dictionary calls it eventOutcome; cefevent's copy of the table lacks it.
_OUTCOME_CHARS = 63
_CUSTOM_KEY = re.compile(r"auditbus[A-Za-z0-9]+")
_UNESCAPED_EQUALS = re.compile(r"(?<!\\)(?:\\\\)*=")
_MARK = "…[truncated]"


def _parsed(fields: dict[str, Any], timestamp_ms: int = 1_795_341_602_000) -> dict[str, Any]:
    """Encode and parse back; what holds for every line is judged here."""
    line = ENCODERS["cef"](event_of(fields, timestamp_ms)).decode()
    assert len(line.splitlines()) == 1
    record: dict[str, Any] = cefp.parse(line)
    extension = line.split(f"|{record['severity']}|", 1)[1]
    assert record["device"] == {
        "vendor": "auditbus",
        "product": "auditbus",
        "version": __version__,
        "event_class_id": fields["action"],
    }
    assert record["version"] == "0"
    assert 0 <= int(record["severity"]) <= 10
    assert len(record["name"]) <= 512
    # As many fields as equals signs: none is hidden by another of the same key, none is injected.
    assert len(_UNESCAPED_EQUALS.findall(extension)) == len(record["extension"])
    for key, value in record["extension"].items():
        _judge(key, value)
    return record


def _judge(key: str, value: str) -> None:
    assert value != "", key
    if _CUSTOM_KEY.fullmatch(key):
        assert len(value) <= 4_000, key
        return
    known = extension_dictionary.get(key, {"length": _OUTCOME_CHARS, "data_type": ["String"]})
    assert key in extension_dictionary or key == "outcome", key
    assert not known["length"] or len(value) <= known["length"], key
    if known["data_type"] == ["IPv4 Address"]:
        assert re.fullmatch(r"[0-9.]+", value), key
    if known["data_type"] == ["TimeStamp"]:
        assert re.fullmatch(r"-?[0-9]+", value), key
    if not key.endswith("Label") and f"{key}Label" in extension_dictionary:
        return
    if key.endswith("Label"):
        assert value in {
            *("account", "targets", "location", "device", "changes", "metadata"),
            *("onBehalfOf", "Source IPv6 Address"),
        }


@pytest.mark.parametrize("shape", [full, minimal, failing])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action(action: str, shape: Any) -> None:
    fields = shape(action)
    record = _parsed(fields)
    assert record["extension"]["cat"] == fields["category"]
    assert record["extension"]["act"] == fields["operation"]
    assert record["extension"]["outcome"] == ("failure" if shape is failing else "success")
    assert record["name"]


@pytest.mark.parametrize(("action", "category", "operation"), CUSTOM)
def test_an_operators_own_action(action: str, category: str, operation: str) -> None:
    record = _parsed(full(action, (category, operation)))
    assert (record["extension"]["cat"], record["extension"]["act"]) == (category, operation)


def test_every_value_of_a_full_event() -> None:
    fields = failing()
    record = _parsed(fields)
    assert (record["name"], record["severity"]) == ("Deleted the storage of Berlin", "8")
    assert record["extension"] == {
        "cat": "storage",
        "act": "delete",
        "rt": "1795341601456",
        "end": "1795341600123",
        "outcome": "failure",
        "suid": "u-17",
        "suser": "Ann Smith",
        "auditbusActorType": "user",
        "auditbusActorEmail": "ann@example.com",
        "auditbusCredential": "api_token:tok-5",
        "flexString1": "user:u-99 (Bob Jones)",
        "flexString1Label": "onBehalfOf",
        "cs1": "acme",
        "cs1Label": "account",
        "auditbusAccountName": "Acme Corporation",
        "cs2": "storage:s-1 (Primary); user:u-30 (Cleo)",
        "cs2Label": "targets",
        "duid": "u-30",
        "duser": "Cleo",
        "c6a2": "2a02:8108::1",
        "c6a2Label": "Source IPv6 Address",
        "auditbusForwardedFor": "203.0.113.9, 198.51.100.7",
        "requestClientApplication": fields["context"]["user_agent"],
        "auditbusRequestId": "req-8812",
        "auditbusSessionId": "ses-4",
        "auditbusTraceId": "4bf92f3577b34da6a3ce929d0e0e4736",
        "reason": "403: forbidden",
        "cs3": "Berlin, Germany",
        "cs3Label": "location",
        "cs4": "Chrome 131 on Windows 11",
        "cs4Label": "device",
        "sourceServiceName": "billing",
        "cs5": '[{"field":"name","before":"Old","after":{"deep":[1,null]}}]',
        "cs5Label": "changes",
        "cs6": '{"region":"eu-central-1","size_bytes":12345}',
        "cs6Label": "metadata",
        "auditbusUnmapped": record["extension"]["auditbusUnmapped"],
        "externalId": fields["id"],
    }
    for value in ("City-2026", "Example Net", "pod-9", "sec-ch-ua-platform", "audit.events"):
        assert value in record["extension"]["auditbusUnmapped"]


def test_the_raw_topic() -> None:
    record = _parsed(raw("Login"))
    assert record["extension"]["rt"] == "1795341602000"
    assert record["extension"]["cat"] == "authentication"
    assert record["name"] == "Signed in"
    record = _parsed(raw("Unheard.Of"), timestamp_ms=-1)
    assert "rt" not in record["extension"]
    assert (record["name"], record["severity"]) == ("Unheard.Of", "3")


def test_an_ipv4_address_is_src_and_no_address_is_neither() -> None:
    assert _parsed(minimal(context={"ip": "203.0.113.9"}))["extension"]["src"] == "203.0.113.9"
    extension = _parsed(minimal(context={"ip": "a proxy"}))["extension"]
    assert extension["auditbusClientAddress"] == "a proxy"
    assert not {"src", "c6a2"} & extension.keys()


def test_what_is_longer_than_the_dictionary_allows_is_cut_with_a_mark() -> None:
    record = _parsed(
        minimal(
            description="d" * 600,
            actor={"type": "user", "id": "i" * 2_000, "name": "=" * 2_000},
            metadata={"k": "m" * 9_000},
        )
    )
    assert record["name"] == "d" * 500 + _MARK
    assert record["extension"]["suid"] == "i" * 1011 + _MARK
    assert record["extension"]["suser"] == "=" * 1011 + _MARK
    assert len(record["extension"]["cs6"]) == 4_000
    assert record["extension"]["cs6"].endswith(_MARK)


def _shown(text: str, *, header: bool = False) -> str:
    """What a receiver gets to see of a text, by the standard, spelt out character by character."""
    shown = []
    for char in text:
        if char == "\t" or (header and char in "\n\r"):
            shown.append(" ")
        elif char in "\n\r":
            shown.append(char)
        elif ord(char) < 32 or 127 <= ord(char) < 160 or char in "\u2028\u2029":
            shown.append("\ufffd")
        else:
            shown.append(char)
    return "".join(shown)


@given(hostile_events)
@example(raw(actor={"type": "user", "name": "\\", "id": "\\= suser=root\nCEF:0|a|b|c|d|e|1|"}))
@example(raw(description="a|b\\|c\nd=e", error={"code": "\n", "message": "x\ty"}))
def test_hostile_text_changes_no_other_field(fields: dict[str, Any]) -> None:
    record = _parsed(fields)
    extension = record["extension"]
    if fields.get("description"):
        assert record["name"] == _shown(fields["description"], header=True)
    actor, context = fields.get("actor", {}), fields.get("context", {})
    error = fields.get("error", {})
    for key, text in {
        "suid": actor.get("id"),
        "suser": actor.get("name") or actor.get("email"),
        "auditbusActorEmail": actor.get("email"),
        "cs1": fields.get("account", {}).get("id"),
        "requestClientApplication": context.get("user_agent"),
        "auditbusSessionId": context.get("session_id"),
        "reason": ": ".join(filter(None, (error.get("code"), error.get("message")))),
        "cs3": fields.get("location", {}).get("label"),
    }.items():
        assert extension.get(key) == (_shown(text) if text else None), key
    assert extension["externalId"] == fields["id"]
