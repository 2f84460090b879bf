"""ECS documents against Elastic's own field definitions, from the npm package @elastic/ecs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from datetime import datetime
from ipaddress import ip_address
from typing import Any

import orjson
import pytest
from hypothesis import given

from auditbus.sinks.siem.encodings.ecs import ECS_VERSION
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

# Every field of ECS that the encoder uses, and its type there.
_FIELDS = {
    "@timestamp": "date",
    "ecs.version": "keyword",
    "message": "match_only_text",
    "event.action": "keyword",
    "event.category": "keyword",
    "event.created": "date",
    "event.dataset": "keyword",
    "event.id": "keyword",
    "event.kind": "keyword",
    "event.module": "keyword",
    "event.outcome": "keyword",
    "event.provider": "keyword",
    "event.sequence": "long",
    "event.severity": "long",
    "event.type": "keyword",
    "error.code": "keyword",
    "error.message": "match_only_text",
    "http.request.id": "keyword",
    "organization.id": "keyword",
    "organization.name": "keyword",
    "related.ip": "ip",
    "related.user": "keyword",
    "service.name": "keyword",
    "service.node.name": "keyword",
    "service.version": "keyword",
    "source.address": "keyword",
    "source.as.number": "long",
    "source.as.organization.name": "keyword",
    "source.geo.city_name": "keyword",
    "source.geo.country_iso_code": "keyword",
    "source.geo.country_name": "keyword",
    "source.geo.location": "geo_point",
    "source.geo.name": "keyword",
    "source.geo.region_name": "keyword",
    "source.ip": "ip",
    "trace.id": "keyword",
    "user.effective.id": "keyword",
    "user.effective.name": "keyword",
    "user.email": "keyword",
    "user.id": "keyword",
    "user.name": "keyword",
    "user.target.id": "keyword",
    "user.target.name": "keyword",
    "user_agent.device.name": "keyword",
    "user_agent.name": "keyword",
    "user_agent.original": "keyword",
    "user_agent.os.name": "keyword",
    "user_agent.os.type": "keyword",
    "user_agent.os.version": "keyword",
    "user_agent.version": "keyword",
}
_ARRAYS = {"event.category", "event.type", "related.ip", "related.user"}
_LONG = range(-(2**63), 2**63)
_PRINT_DEFINITIONS = """
const fields = require(process.argv[1]).EcsFlat;
const part = ({type, normalize, allowed_values, expected_values}) =>
  ({type, normalize, allowed_values, expected_values});
console.log(JSON.stringify(Object.fromEntries(
  Object.entries(fields).map(([name, field]) => [name, part(field)]))));
"""


@pytest.fixture(scope="module")
def definitions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return Elastic's definition of every field by its name."""
    if not shutil.which("npm") or not shutil.which("node"):
        pytest.skip("npm and node are not here: they bring Elastic's field definitions")
    folder = tmp_path_factory.mktemp("ecs")
    packed = subprocess.run(
        ["npm", "pack", "--silent", f"@elastic/ecs@{ECS_VERSION}"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if packed.returncode != 0:
        pytest.skip(f"npm cannot fetch @elastic/ecs: {packed.stderr[-200:]}")
    shutil.unpack_archive(folder / packed.stdout.strip(), folder)
    printed = subprocess.run(
        ["node", "-e", _PRINT_DEFINITIONS, str(folder / "package/generated/ecs_flat.js")],
        capture_output=True,
        check=True,
        timeout=60,
    )
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


def _flat(value: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, part in value.items():
        field = f"{path}{name}"
        if isinstance(part, dict) and field != "source.geo.location":
            yield from _flat(part, f"{field}.")
        else:
            yield field, part


def _checked(fields: dict[str, Any], timestamp_ms: int = 1_795_341_602_000) -> dict[str, Any]:
    """Encode, and judge every field of ECS by the type that it has there."""
    body: dict[str, Any] = orjson.loads(ENCODERS["ecs"](event_of(fields, timestamp_ms)))
    assert {"@timestamp", "ecs", "event", "message"} <= body.keys()
    for name, value in _flat(body):
        if name.startswith("auditbus."):
            continue
        values = value if name in _ARRAYS else [value]
        assert isinstance(values, list), name
        assert values, name
        for one in values:
            _judge(_FIELDS[name], one)
    _judge_own(body["auditbus"])
    return body


def _judge(type_name: str, value: Any) -> None:
    match type_name:
        case "date":
            datetime.fromisoformat(value)
        case "ip":
            ip_address(value)
        case "long":
            assert type(value) is int
            assert value in _LONG
        case "geo_point":
            assert abs(value["lat"]) <= 90
            assert abs(value["lon"]) <= 180
        case _:
            assert type(value) is str
            assert value


def _judge_own(own: dict[str, Any]) -> None:
    """Below `auditbus` every key is known and always of one type: no index refuses the next."""
    texts = {
        *("category", "operation", "severity", "session_id", "changes", "metadata", "unmapped"),
        *("producer_epoch", "producer_seq"),
    }
    objects = {"actor", "device", "location", "origin"}
    assert own.keys() <= {*texts, *objects, "targets", "forwarded_for"}
    assert all(type(own[name]) is str for name in texts & own.keys())
    assert all(type(own[name]) is dict for name in objects & own.keys())
    for target in own.get("targets", []):
        assert target.keys() <= {"type", "id", "name"}
        assert all(type(text) is str for text in target.values())


def test_every_field_is_elastics_and_of_its_type(definitions: dict[str, Any]) -> None:
    for name, type_name in _FIELDS.items():
        assert definitions[name]["type"] == type_name, name
        assert (definitions[name]["normalize"] == ["array"]) == (name in _ARRAYS), name
    assert not any(name.startswith("auditbus") for name in definitions)
    used = {name for name, _ in _flat(_checked(failing())) if not name.startswith("auditbus.")}
    assert used == _FIELDS.keys()


@pytest.mark.parametrize("action", ACTIONS)
def test_category_and_type_go_together(action: str, definitions: dict[str, Any]) -> None:
    _judge_category(_checked(full(action)), definitions)


@pytest.mark.parametrize(("action", "category", "operation"), CUSTOM)
def test_category_and_type_of_an_operators_own_action_go_together(
    action: str, category: str, operation: str, definitions: dict[str, Any]
) -> None:
    _judge_category(_checked(full(action, (category, operation))), definitions)


def _judge_category(body: dict[str, Any], definitions: dict[str, Any]) -> None:
    expected = {
        value["name"]: value["expected_event_types"]
        for value in definitions["event.category"]["allowed_values"]
    }
    (category,) = body["event"]["category"]
    assert set(body["event"]["type"]) <= set(expected[category])
    types = {value["name"] for value in definitions["event.type"]["allowed_values"]}
    assert set(body["event"]["type"]) <= types
    assert body["user_agent"]["os"]["type"] in definitions["user_agent.os.type"]["expected_values"]


@pytest.mark.parametrize("shape", [full, minimal, failing])
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action(action: str, shape: Any) -> None:
    body = _checked(shape(action))
    assert body["event"]["action"] == action
    assert body["event"]["outcome"] == ("failure" if shape is failing else "success")


def test_where_each_field_goes() -> None:
    fields = failing()
    body = _checked(fields)
    assert body["@timestamp"] == fields["occurred_at"]
    assert body["event"] == {
        "kind": "event",
        "id": fields["id"],
        "action": "StorageDeleted",
        "category": ["configuration"],
        "type": ["deletion"],
        "outcome": "failure",
        "severity": 8,
        "module": "auditbus",
        "dataset": "auditbus.events",
        "created": fields["received_at"],
        "provider": "billing",
        "sequence": 41,
    }
    assert body["user"] == {
        "id": "u-17",
        "name": "Ann Smith",
        "email": "ann@example.com",
        "effective": {"id": "u-99", "name": "Bob Jones"},
        "target": {"id": "u-30", "name": "Cleo"},
    }
    assert body["source"] == {
        "address": "2a02:8108::1",
        "ip": "2a02:8108::1",
        "geo": {
            "country_iso_code": "DE",
            "country_name": "Germany",
            "region_name": "Land Berlin",
            "city_name": "Berlin",
            "name": "Berlin, Germany",
            "location": {"lat": 52.5, "lon": 13.4},
        },
        "as": {"number": 64500, "organization": {"name": "Example Net"}},
    }
    assert body["user_agent"] == {
        "original": fields["context"]["user_agent"],
        "name": "Chrome",
        "version": "131",
        "os": {"name": "Windows", "version": "11", "type": "windows"},
        "device": {"name": "Mac"},
    }
    assert body["organization"] == {"id": "acme", "name": "Acme Corporation"}
    assert body["error"] == {"code": "403", "message": "forbidden"}
    assert body["trace"] == {"id": fields["context"]["trace_id"]}
    assert body["http"] == {"request": {"id": "req-8812"}}
    assert body["service"] == {"name": "billing", "version": "2.3", "node": {"name": "pod-9"}}
    assert body["related"] == {
        "user": ["u-17", "Ann Smith", "ann@example.com", "u-99", "Bob Jones", "u-30", "Cleo"],
        "ip": ["2a02:8108::1", "203.0.113.9", "198.51.100.7"],
    }
    assert body["auditbus"] == {
        "category": "storage",
        "operation": "delete",
        "severity": "high",
        "actor": {
            "type": "user",
            "credential": {"type": "api_token", "id": "tok-5"},
            "on_behalf_of": {"type": "user"},
        },
        "targets": fields["targets"],
        "forwarded_for": fields["context"]["forwarded_for"],
        "session_id": "ses-4",
        "location": {"database": "City-2026"},
        "device": {
            "type": "desktop",
            "brand": "Apple",
            "label": "Chrome 131 on Windows 11",
            "is_bot": False,
        },
        "producer_epoch": "7",
        "origin": fields["origin"],
        "changes": orjson.dumps(fields["changes"]).decode(),
        "metadata": orjson.dumps(fields["metadata"]).decode(),
        "unmapped": '{"context":{"client_hints":{"sec-ch-ua-platform":"Windows"}}}',
    }


def test_the_raw_topic() -> None:
    body = _checked(raw("Login"))
    assert body["event"]["created"] == "2026-11-22T10:00:02.000Z"
    assert (body["event"]["category"], body["event"]["type"]) == (["authentication"], ["start"])
    assert "created" not in _checked(raw("Login"), timestamp_ms=-1)["event"]


def test_what_an_index_would_refuse_is_kept_as_text() -> None:
    fields = minimal(
        producer={"seq": 2**64 - 1, "epoch": -(2**63)},
        location={"latitude": 120.0, "longitude": 13.0, "asn": 2**63},
        context={"ip": "a proxy"},
    )
    body = _checked(fields)
    assert body["auditbus"]["producer_seq"] == str(2**64 - 1)
    assert body["source"] == {"address": "a proxy"}
    assert body["auditbus"]["location"] == {
        "latitude": "120.0",
        "longitude": "13.0",
        "asn": str(2**63),
    }


@given(hostile_events)
def test_hostile_text_stays_in_its_field(fields: dict[str, Any]) -> None:
    body = _checked(fields)
    assert body.get("user", {}).get("name") == (fields.get("actor", {}).get("name") or None)
    for name in ("changes", "metadata"):
        if fields.get(name):
            assert orjson.loads(body["auditbus"][name]) == fields[name]
