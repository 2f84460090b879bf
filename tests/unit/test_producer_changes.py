"""`changes` from two states of whatever a service keeps its state in."""

from __future__ import annotations

import dataclasses
import enum
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from django.db import models
from hypothesis import given
from hypothesis import strategies as st

from auditbus.producers import changes_between, snapshot
from auditbus.producers.testing import RecordingProducer
from tests.django_site import configure_django


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass(frozen=True, slots=True)
class DataAddress:
    city: str


@dataclasses.dataclass
class DataUser:
    name: str
    address: DataAddress


class PydanticAddress(pydantic.BaseModel):
    city: str


class PydanticUser(pydantic.BaseModel):
    name: str
    address: PydanticAddress


class StructAddress(msgspec.Struct):
    city: str


class StructUser(msgspec.Struct):
    name: str
    address: StructAddress


@attrs.define
class AttrsAddress:
    city: str


@attrs.define
class AttrsUser:
    name: str
    address: AttrsAddress


class PydanticSecrets(pydantic.BaseModel):
    code: pydantic.SecretStr
    blob: pydantic.SecretBytes = pydantic.SecretBytes(b"same")


def test_a_pydantic_secret_that_changed_is_told_and_not_shown(
    audit_events: RecordingProducer,
) -> None:
    first = PydanticSecrets(code=pydantic.SecretStr("hunter2"))
    second = PydanticSecrets(code=pydantic.SecretStr("hunter3"))
    marks = {"before": "[redacted]", "after": "[redacted]", "redacted": True}
    for before, after in ((first, second), (snapshot(first), snapshot(second))):
        changes = changes_between(before, after)
        assert changes == [{"field": "code", **marks}]
    audit_events.emit(action="Login", changes=changes)
    assert audit_events.events[0]["changes"] == [{"field": "code", **marks}]
    assert changes_between(first, PydanticSecrets(code=pydantic.SecretStr("hunter2"))) == []
    assert "hunter" not in repr(snapshot(first))


@pytest.mark.parametrize(
    ("user", "address"),
    [
        (DataUser, DataAddress), (PydanticUser, PydanticAddress), (StructUser, StructAddress),
        (AttrsUser, AttrsAddress), (dict, dict),
    ],
)  # fmt: skip
def test_members_are_compared_by_nested_paths(user: Any, address: Any) -> None:
    before = user(name="ann", address=address(city="Bern"))
    after = user(name="ann", address=address(city="Basel"))
    assert changes_between(before, after) == [
        {"field": "address.city", "before": "Bern", "after": "Basel"}
    ]
    assert changes_between(before, before) == []
    assert [change["field"] for change in changes_between(None, after)] == ["name", "address"]
    assert changes_between(after, None)[0] == {"field": "name", "before": "ann"}
    kept = snapshot(before)
    assert changes_between(kept, before) == []
    assert changes_between(kept, after) == changes_between(before, after)


def test_extra_members_of_pydantic() -> None:
    class Open(pydantic.BaseModel, extra="allow"):
        a: int

    assert changes_between(Open(a=1, b=1), Open(a=1, b=2)) == [
        {"field": "b", "before": 1, "after": 2}
    ]


def test_an_object_that_changes_in_place() -> None:
    user = {"tags": ["a"], "address": {"city": "Bern"}}
    before = snapshot(user)
    user["tags"].append("b")  # type: ignore[attr-defined]
    user["address"]["zip"] = "3000"  # type: ignore[index]
    assert changes_between(before, user) == [
        {"field": "tags", "before": ["a"], "after": ["a", "b"]},
        {"field": "address.zip", "after": "3000"},
    ]


def test_added_removed_and_another_type() -> None:
    before = {"gone": 1, "same": None, "list": [1, 2], "number": 1, "flag": 1, "x": {"a": 1}}
    after = {"new": None, "same": None, "list": [2, 1], "number": 1.0, "flag": True, "x": [1]}
    assert changes_between(before, after) == [
        {"field": "gone", "before": 1},
        {"field": "list", "before": [1, 2], "after": [2, 1]},
        {"field": "number", "before": 1, "after": 1.0},
        {"field": "flag", "before": 1, "after": True},
        {"field": "x", "before": {"a": 1}, "after": [1]},
        {"field": "new", "after": None},
    ]
    assert changes_between("a", "b") == [{"field": "value", "before": "a", "after": "b"}]


def test_values_become_what_json_holds(audit_events: RecordingProducer) -> None:
    after = {
        "color": Color.RED, "at": datetime(2026, 1, 2, tzinfo=UTC), "day": date(2026, 1, 2),
        "age": timedelta(minutes=1), "price": Decimal("1.50"), "raw": b"\x00\xff",
        "nan": float("nan"),
        "id": UUID(int=7), "big": 2**70, "set": {3, "a", None}, "object": SimpleNamespace(a=1),
        "kind": int, "surrogate": "\ud800", 7: "number",
    }  # fmt: skip
    changes = changes_between(None, after)
    assert {change["field"]: change["after"] for change in changes} == {
        "color": "red", "at": "2026-01-02T00:00:00+00:00", "day": "2026-01-02", "age": 60.0,
        "price": "1.50", "raw": "AP8=", "nan": "nan", "id": str(UUID(int=7)), "big": str(2**70),
        "set": ["a", 3, None], "object": "<SimpleNamespace>", "kind": "<type>", "surrogate": "?",
        "7": "number",
    }  # fmt: skip
    audit_events.emit(action="Login", changes=changes)


def test_what_cannot_be_ordered_or_compared_is_no_hindrance() -> None:
    class Odd:
        def __eq__(self, other: object) -> bool:
            raise ValueError

        __hash__ = None  # type: ignore[assignment]

    assert changes_between({"a": Odd()}, {"a": Odd()}) == []
    assert changes_between({"a": {1, "x"}}, {"a": {"x", 1}}) == []


def test_everything_is_bounded(audit_events: RecordingProducer) -> None:
    loop: dict[str, Any] = {"name": "a"}
    loop["self"] = [loop, loop]
    deep: Any = 1
    for _ in range(500):
        deep = {"d": deep}
    before = {f"f{number}": number for number in range(150)}
    after = {"loop": loop, "deep": deep, "text": "x" * 100_000, "list": [*range(100_000)], "z": 1}
    changes = changes_between({}, after)
    assert len(changes) == 5
    assert len(changes[2]["after"]) == 2049
    assert changes[3]["after"][-1] == "… 99900 more"
    audit_events.emit(action="Login", changes=changes)
    many = changes_between(before, {}, limit=100)
    assert len(many) == 101
    assert many[-1] == {"field": "…", "after": "50 more changes"}
    # A difference behind the cut is a difference.
    assert len(changes_between({"t": "x" * 9000 + "a"}, {"t": "x" * 9000 + "b"})) == 1


def test_django_models_without_a_query() -> None:
    configure_django()

    class Account(models.Model):
        name = models.TextField()
        owner = models.ForeignKey("self", models.CASCADE, null=True)

        class Meta:
            app_label = "tests"

    before, after = Account(id=1, name="a", owner_id=1), Account(id=1, name="b", owner_id=2)
    assert changes_between(before, after) == [
        {"field": "name", "before": "a", "after": "b"},
        {"field": "owner_id", "before": 1, "after": 2},
    ]
    deferred = Account.from_db("default", ["id", "name"], [1, "a"])
    assert [change["field"] for change in changes_between(None, deferred)] == ["id", "name"]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


@given(MAPPINGS, MAPPINGS)
def test_nothing_differs_from_itself_and_changes_lead_from_before_to_after(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    assert changes_between(before, before) == []
    after = {name: value for name, value in after.items() if not isinstance(value, dict)}
    state = snapshot(before)
    for change in changes_between(before, after):
        *path, name = change["field"].split(".")
        assert path == []
        if "after" in change:
            state[name] = change["after"]
        else:
            del state[name]
    assert repr(state) == repr({name: snapshot(after)[name] for name in state})
    assert state.keys() == after.keys()
