"""What holds for every encoding: it expresses an event or says why not, and never more than one."""

from __future__ import annotations

import copy
import typing
from typing import Any

import orjson
import pytest
from hypothesis import given

from auditbus.schemas import Catalogue, RejectCode
from auditbus.sinks.siem import DestinationSettings
from auditbus.sinks.siem.encodings import ENCODINGS, Unencodable, cef, classification, leef
from auditbus.sinks.siem.encodings.classification import look_up
from auditbus.sinks.siem.encodings.view import read_view
from tests.unit.encoding_events import (
    ACTIONS,
    ENCODERS,
    anything,
    event_of,
    full,
    hostile_events,
    raw,
)

_MAPPING = sorted(ENCODINGS.keys() - {"json"})


def test_the_setting_names_every_encoding() -> None:
    named = typing.get_args(DestinationSettings.model_fields["encoding"].annotation)
    assert sorted(named) == sorted(ENCODINGS)


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_of_the_catalogue_has_its_line(action: str) -> None:
    """No built-in action falls back on what is made for unknown ones."""
    known = Catalogue.builtin()[action]
    kind = look_up(Catalogue.builtin(), action)
    assert (kind.category, kind.operation) == (known.category, known.operation)
    assert (kind.description, kind.severity) == (known.description, known.severity)
    assert kind.category in classification._CATEGORIES
    assert kind.operation in classification._ECS_TYPES


def test_an_action_in_no_catalogue_is_of_low_severity() -> None:
    kind = look_up(Catalogue.builtin(), "Unheard.Of")
    assert (kind.category, kind.operation, kind.severity) == ("other", "other", "low")
    assert kind.description == "Unheard.Of"


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(fields=hostile_events)
def test_one_event_is_one_line_of_utf8(encoding: str, fields: dict[str, Any]) -> None:
    encoded = ENCODERS[encoding](event_of(fields))
    assert b"\n" not in encoded
    assert b"\r" not in encoded
    text = encoded.decode()
    if ENCODINGS[encoding].is_json:
        assert isinstance(orjson.loads(text), dict)


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(fields=anything)
def test_any_object_is_expressed_or_refused_with_a_field(
    encoding: str, fields: dict[str, Any]
) -> None:
    refusal = None
    try:
        encoded = ENCODERS[encoding](event_of(fields))
    except Unencodable as error:
        refusal = error
    if refusal is None:
        assert len(encoded.splitlines()) == 1
        return
    assert refusal.code in set(RejectCode)
    field, colon, _ = refusal.reason.partition(": ")
    assert colon
    assert field.split(".")[0].split("[")[0] in {*full(), "error"}


@pytest.mark.parametrize("encoding", _MAPPING)
@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({}, RejectCode.MISSING_FIELD, "id: "),
        (raw() | {"id": "x"}, RejectCode.INVALID_VALUE, "id: "),
        (raw() | {"id": 7}, RejectCode.WRONG_TYPE, "id: "),
        (raw() | {"schema_version": 2}, RejectCode.UNSUPPORTED_VERSION, "schema_version: "),
        (raw() | {"action": "a b"}, RejectCode.INVALID_VALUE, "action: "),
        (raw() | {"action": ""}, RejectCode.INVALID_VALUE, "action: "),
        (raw() | {"occurred_at": "now"}, RejectCode.INVALID_VALUE, "occurred_at: "),
        (raw() | {"occurred_at": "2026-13-22T10:00:00.123Z"}, "invalid_value", "occurred_at: "),
        (raw() | {"occurred_at": "2026-11-22T10:00:00.-23Z"}, "invalid_value", "occurred_at: "),
        (raw() | {"received_at": "later"}, RejectCode.INVALID_VALUE, "received_at: "),
        (raw() | {"actor": {"type": "user", "name": 7}}, RejectCode.WRONG_TYPE, "actor.name: "),
        (raw() | {"actor": {"type": "robot"}}, RejectCode.INVALID_VALUE, "actor.type: "),
        (raw() | {"targets": [{}, {"id": 1}]}, RejectCode.WRONG_TYPE, r"targets\[1\].id: "),
        (raw() | {"category": "A B"}, RejectCode.INVALID_VALUE, "category: "),
        (raw() | {"operation": "x" * 41}, RejectCode.INVALID_VALUE, "operation: "),
        (raw() | {"location": "Berlin"}, RejectCode.WRONG_TYPE, "location: "),
        (raw() | {"origin": {}}, RejectCode.MISSING_FIELD, "origin.topic: "),
    ],
    ids=str,
)
def test_what_is_no_event_is_refused_with_code_and_field(
    encoding: str, fields: dict[str, Any], code: str, reason: str
) -> None:
    with pytest.raises(Unencodable, match=f"^{reason}") as refused:
        ENCODERS[encoding](event_of(fields))
    assert refused.value.code == code


@pytest.mark.parametrize("encoding", _MAPPING)
def test_what_is_nested_too_deeply_is_refused(encoding: str) -> None:
    value = orjson.dumps(raw())[:-1] + b',"unknown":' + b"[" * 600 + b"]" * 600 + b"}"
    event = event_of(raw())
    event = type(event)(value, orjson.loads(value), 0)
    with pytest.raises(Unencodable, match="nested deeper") as refused:
        ENCODERS[encoding](event)
    assert refused.value.code == RejectCode.TOO_DEEP


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_encoder_changes_nothing_of_the_event(encoding: str) -> None:
    event = event_of(
        full(unknown={"a": 1}) | {"actor": {"type": "user", "x": 1, "email": "ü@x.de"}}
    )
    before = orjson.dumps(event.fields)
    assert ENCODERS[encoding](event) == ENCODERS[encoding](event)
    assert orjson.dumps(event.fields) == before


# Where a newer producer, or a newer stream, may put a field that this version does not know.
_PLACES: dict[str, tuple[str | int, ...]] = {
    "event": (),
    "account": ("account",),
    "actor": ("actor",),
    "credential": ("actor", "credential"),
    "delegate": ("actor", "on_behalf_of"),
    "first target": ("targets", 0),
    "last target": ("targets", -1),
    "error": ("error",),
    "context": ("context",),
    "change": ("changes", 0),
    "producer": ("producer",),
    "location": ("location",),
    "device": ("device",),
    "origin": ("origin",),
    "metadata": ("metadata",),
}


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("action", ["StorageDeleted", "Login", "UserSettingsUpdated"])
def test_what_this_version_does_not_know_is_kept(encoding: str, place: str, action: str) -> None:
    error = {"code": "E17", "message": "refused"}
    fields: Any = copy.deepcopy(full(action, outcome="failure", error=error))
    holder = fields
    for step in _PLACES[place]:
        holder = holder[step]
    holder["newer"] = {"deep": ["zq-unheard-of"]}
    before = copy.deepcopy(fields)
    event = event_of(fields)
    assert b"zq-unheard-of" in ENCODERS[encoding](event)
    assert event.fields == before


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_credential_without_id_is_kept_with_what_is_unknown_of_it(encoding: str) -> None:
    fields = full("StorageDeleted")
    fields["actor"] = fields["actor"] | {"credential": {"type": "zq-type", "newer": "zq-newer"}}
    encoded = ENCODERS[encoding](event_of(fields))
    assert b"zq-type" in encoded
    assert b"zq-newer" in encoded


def test_a_line_has_a_text_for_every_key() -> None:
    event = event_of(full("StorageDeleted"))
    view = read_view(event)
    for line in (cef, leef):
        assert len(line._KEYS) == len(line._texts(view, event.fields))
