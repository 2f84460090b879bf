"""OCSF output against OCSF's own schema: every action, in every shape an event may have."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson
import pytest
from hypothesis import given
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from auditbus.sinks.siem.encodings.classification import OCSF_CLASSES
from auditbus.sinks.siem.encodings.ocsf import OCSF_VERSION
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

_SHAPES = {"full": full, "minimal": minimal, "failing": failing}


@cache
def _schemas() -> OcsfJsonSchemaEmbedded:
    return OcsfJsonSchemaEmbedded(get_ocsf_schema(OCSF_VERSION))


@cache
def _validator(class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    name = _schemas().lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(_schemas().get_class_schema(name, list(profiles)))


def _checked(fields: dict[str, Any], timestamp_ms: int = 1_795_341_602_000) -> dict[str, Any]:
    """Encode, and judge by the schema of the class and the profiles that the output names."""
    body: dict[str, Any] = orjson.loads(ENCODERS["ocsf"](event_of(fields, timestamp_ms)))
    profiles = tuple(body["metadata"].get("profiles", ()))
    faults = [
        f"{'.'.join(map(str, fault.absolute_path))}: {fault.message}"
        for fault in _validator(body["class_uid"], profiles).iter_errors(body)
    ]
    assert faults == []
    assert body["type_uid"] == body["class_uid"] * 100 + body["activity_id"]
    assert body["category_uid"] == body["class_uid"] // 1000
    assert body["metadata"]["version"] == "1.8.0"
    return body


def test_the_schema_refuses_what_is_wrong() -> None:
    body = _checked(full())
    validator = _validator(body["class_uid"], ())
    for wrong in ({"invented": 1}, {"severity_id": 12}, {"time": "now"}, {"entity": {}}):
        assert list(validator.iter_errors(body | wrong)), wrong


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_is_valid(action: str, shape: str) -> None:
    body = _checked(_SHAPES[shape](action))
    assert body["metadata"]["event_code"] == action
    assert body["status_id"] == (2 if shape == "failing" else 1)
    assert (
        body["class_name"]
        == _schemas().schema.schema["classes"][
            _schemas().lookup_class_name_from_uid(body["class_uid"])
        ]["caption"]
    )


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_an_activity_that_its_class_names_alike(action: str) -> None:
    body = _checked(full(action))
    name = _schemas().lookup_class_name_from_uid(body["class_uid"])
    activities = _schemas().schema.schema["classes"][name]["attributes"]["activity_id"]["enum"]
    if body["activity_id"] == 99:
        assert body["activity_name"] == full(action)["operation"]
    else:
        assert activities[str(body["activity_id"])]["caption"] == body["activity_name"]


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize(("action", "category", "operation"), CUSTOM)
def test_an_operators_own_action_is_valid(
    action: str, category: str, operation: str, shape: str
) -> None:
    _checked(_SHAPES[shape](action, (category, operation)))


@pytest.mark.parametrize("action", ["Login", "Unheard.Of"])
def test_the_raw_topic_is_valid(action: str) -> None:
    body = _checked(raw(action), timestamp_ms=1_795_341_602_000)
    assert body["metadata"]["logged_time"] == 1_795_341_602_000
    assert body["class_uid"] == (3002 if action == "Login" else 6003)
    assert "logged_time" not in _checked(raw(action), timestamp_ms=-1)["metadata"]


@pytest.mark.parametrize(
    ("action", "type_uid"),
    [
        ("Login", 300201),
        ("Logout", 300202),
        ("UserSettingsUpdated", 300199),
        ("StorageCreated", 300401),
        ("StorageUpdated", 300403),
        ("StorageDeleted", 300404),
        ("InstallationSuspended", 300412),
        ("InstallationUnsuspended", 300413),
        ("AuditLogExported", 600107),
        ("BackupDownloaded", 600602),
        ("BackupTriggered", 600399),
        ("EmailNotificationSent", 600399),
    ],
)
def test_what_an_action_is_called(action: str, type_uid: int) -> None:
    assert _checked(full(action))["type_uid"] == type_uid


@pytest.mark.parametrize(
    ("action", "category", "operation", "type_uid"),
    [
        ("InvoicePaid", "billing", "pay", 600399),
        ("TicketCreated", "support", "create", 600301),
        ("TeamMemberAdded", "group", "add", 300603),
        ("UserLocked", "user", "lock", 300109),
        ("StorageDeleted", "vault", "purge", 600399),
    ],
)
def test_a_custom_action_goes_by_category_and_operation(
    action: str, category: str, operation: str, type_uid: int
) -> None:
    assert _checked(full(action, (category, operation)))["type_uid"] == type_uid


def test_where_each_field_goes() -> None:
    fields = failing()
    body = _checked(fields)
    assert body["time"] == 1_795_341_600_123
    assert body["severity_id"] == 4
    assert (body["status_code"], body["status_detail"]) == ("403", "forbidden")
    assert body["metadata"]["uid"] == fields["id"]
    assert body["metadata"]["logged_time"] == 1_795_341_601_456
    assert body["metadata"]["tenant_uid"] == "acme"
    assert body["metadata"]["correlation_uid"] == fields["context"]["trace_id"]
    assert body["metadata"]["sequence"] == 41
    assert body["actor"]["user"] == {
        "type_id": 1,
        "uid": "u-17",
        "name": "Ann Smith",
        "email_addr": "ann@example.com",
        "programmatic_credentials": [{"uid": "tok-5", "type": "api_token"}],
    }
    assert body["actor"]["session"] == {"uid": "ses-4"}
    assert body["http_request"] == {
        "user_agent": fields["context"]["user_agent"],
        "uid": "req-8812",
        "x_forwarded_for": ["203.0.113.9", "198.51.100.7"],
    }
    assert body["src_endpoint"] == {
        "ip": "2a02:8108::1",
        "type_id": 2,
        "type": "desktop",
        "os": {"name": "Windows", "type_id": 100, "version": "11"},
        "location": {
            "country": "DE",
            "region": "Land Berlin",
            "city": "Berlin",
            "lat": 52.5,
            "long": 13.4,
            "desc": "Berlin, Germany",
            "provider": "City-2026",
        },
        "autonomous_system": {"number": 64500, "name": "Example Net"},
    }
    assert body["entity"] == {"uid": "s-1", "name": "Primary", "type": "storage", "type_id": 99}
    assert body["unmapped"] == {
        "account": {"name": "Acme Corporation"},
        "actor": {"on_behalf_of": fields["actor"]["on_behalf_of"]},
        "context": {"client_hints": fields["context"]["client_hints"]},
        "location": {"country": "Germany"},
        **{
            name: fields[name]
            for name in (
                *("category", "operation", "changes", "metadata", "producer", "device", "origin"),
            )
        },
        "targets": fields["targets"],
    }


def test_unknown_fields_are_kept_at_any_depth() -> None:
    fields = full(unknown={"x": [1]})
    fields["actor"] = {"type": "user", "id": "u", "department": "R&D"}
    fields["targets"] = [{"type": "storage", "id": "s", "size": 5}]
    body = _checked(fields)
    assert body["unmapped"]["unknown"] == {"x": [1]}
    assert body["unmapped"]["actor"] == {"department": "R&D"}
    assert body["unmapped"]["targets"] == fields["targets"]


def test_an_impersonated_user_is_found() -> None:
    body = _checked(full("Login"))
    assert body["actor"]["user"]["uid"] == "u-17"
    assert body["user"] == {"uid": "u-99", "name": "Bob Jones"}
    assert [found["value"] for found in body["observables"]] == ["u-99", "Bob Jones"]
    for found in body["observables"]:
        value: Any = body
        for part in found["name"].split("."):
            value = value[part]
        assert value == found["value"]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("203.0.113.9", {"ip": "203.0.113.9"}),
        ("[2001:db8::1]:443", {"ip": "2001:db8::1"}),
        ("::ffff:203.0.113.9", {"ip": "203.0.113.9"}),
        ("fe80::1%eth0", {"ip": "fe80::1"}),
        ("0000:0000:0000:0000:0000:0000:0000:0001", {"ip": "::1"}),
        ("a proxy", {"name": "a proxy"}),
    ],
)
def test_an_address_is_one_or_a_name(text: str, endpoint: dict[str, str]) -> None:
    body = _checked(minimal(context={"ip": text}))
    assert body["src_endpoint"] == endpoint
    assert text in (
        endpoint.get("ip"),
        endpoint.get("name"),
        body["unmapped"].get("context", {}).get("ip"),
    )


@pytest.mark.parametrize(
    ("fields", "status_id"),
    [
        ({}, 1),
        ({"error": {}}, 2),
        ({"error": {"code": "x"}, "outcome": "success"}, 1),
        ({"outcome": "unknown"}, 0),
        ({"outcome": "failure"}, 2),
        ({"error": None, "outcome": None}, 1),
    ],
)
def test_a_missing_outcome_is_read_from_the_error(fields: dict[str, Any], status_id: int) -> None:
    assert _checked(minimal(**fields))["status_id"] == status_id


def test_an_address_that_ocsf_has_no_pattern_for_is_kept() -> None:
    body = _checked(minimal(actor={"type": "user", "email": "jürgen@example.com"}))
    assert body["unmapped"]["actor"] == {"email": "jürgen@example.com"}
    assert body["actor"]["user"]["name"] == "jürgen@example.com"


@given(hostile_events)
def test_hostile_text_is_valid(fields: dict[str, Any]) -> None:
    body = _checked(fields)
    assert body["message"]
    assert body["class_uid"] in OCSF_CLASSES
