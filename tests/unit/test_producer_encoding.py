"""What JSON cannot hold is refused by the SDK, and the field is named."""

import dataclasses
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.producers.encoding import encode
from auditbus.schemas import Actor, Change, InvalidEvent, RejectCode


class Plan(StrEnum):
    FREE = "free"


class Level(Enum):
    ONE = 1
    NOT_A_NUMBER = math.nan


@dataclasses.dataclass
class Size:
    bytes: float
    unit: object = "B"


def _refusal(fields: dict[Any, Any]) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        encode(fields)
    return caught.value


def _holding_itself() -> dict[str, Any]:
    fields: dict[str, Any] = {}
    fields["metadata"] = {"again": fields}
    return fields


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"in": value}
    return {"metadata": value}


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"metadata": {"ratio": math.nan}}, RejectCode.INVALID_VALUE, "metadata.ratio"),
        ({"metadata": {"ratio": -math.inf}}, RejectCode.INVALID_VALUE, "metadata.ratio"),
        ({"changes": [{"after": [1, math.inf]}]}, RejectCode.INVALID_VALUE, "changes[0].after[1]"),
        ({"metadata": {"size": Size(math.nan)}}, RejectCode.INVALID_VALUE, "metadata.size.bytes"),
        ({"metadata": {"x": Level.NOT_A_NUMBER}}, RejectCode.INVALID_VALUE, "metadata.x"),
        (
            {"changes": [Change(field="ratio", after=math.nan)]},
            RejectCode.INVALID_VALUE,
            "changes[0].after",
        ),
        ({"metadata": {"n": 2**64}}, RejectCode.INVALID_VALUE, "metadata.n"),
        ({"metadata": {"tags": {"a"}}}, RejectCode.WRONG_TYPE, "metadata.tags"),
        ({"metadata": {"price": Decimal(1)}}, RejectCode.WRONG_TYPE, "metadata.price"),
        ({"metadata": {"raw": b"bytes"}}, RejectCode.WRONG_TYPE, "metadata.raw"),
        ({"metadata": MappingProxyType({})}, RejectCode.WRONG_TYPE, "metadata"),
        ({"metadata": {"size": Size(1.0, object())}}, RejectCode.WRONG_TYPE, "metadata.size.unit"),
        ({"metadata": {"by_id": {7: "x"}}}, RejectCode.WRONG_TYPE, "metadata.by_id"),
        ({"metadata": {Plan.FREE: 1}}, RejectCode.WRONG_TYPE, "metadata"),
        ({7: "x"}, RejectCode.WRONG_TYPE, None),
        ({"description": "\ud800"}, RejectCode.NOT_UTF8, "description"),
        ({"metadata": {"\ud800": 1}}, RejectCode.NOT_UTF8, "metadata"),
        (_holding_itself(), RejectCode.TOO_DEEP, "metadata"),
        (_nested(300), RejectCode.TOO_DEEP, "metadata"),
    ],
)
def test_what_json_cannot_hold_is_refused_and_named(
    fields: dict[Any, Any], code: RejectCode, field: str | None
) -> None:
    refusal = _refusal(fields)
    assert (refusal.code, refusal.field) == (code, field)


def test_the_first_fault_in_the_events_own_order_is_named() -> None:
    assert _refusal({"a": 1, "b": [{1}], "c": {2}}).field == "b[0]"


def test_the_refusal_never_quotes_the_value() -> None:
    class Secret:
        def __repr__(self) -> str:
            return "hunter2"

    assert "hunter2" not in str(_refusal({"metadata": {"password": Secret()}}))


def test_dates_ids_enums_dataclasses_and_structures_are_encoded() -> None:
    moment = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
    raw, _ = encode(
        {
            "id": uuid.UUID(int=7),
            "occurred_at": moment,
            "actor": Actor(type="user", id="u-1"),
            "metadata": {"day": date(2026, 11, 22), "plan": Plan.FREE, "size": Size(1.5)},
        }
    )
    assert orjson.loads(raw) == {
        "id": "00000000-0000-0000-0000-000000000007",
        "occurred_at": "2026-11-22T10:00:00+00:00",
        "actor": {"type": "user", "id": "u-1"},
        "metadata": {"day": "2026-11-22", "plan": "free", "size": {"bytes": 1.5, "unit": "B"}},
    }


def test_null_and_the_word_null_are_no_nan() -> None:
    fields = {"description": "null and void", "metadata": {"before": None}}
    assert orjson.loads(encode(fields)[0]) == fields


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def _faithful(value: object) -> bool:
    match value:
        case bool() | None | str():
            return True
        case int():
            return -(2**63) <= value < 2**64
        case float():
            return math.isfinite(value)
        case list():
            return all(map(_faithful, value))
        case Mapping():
            return all(map(_faithful, value.values()))
    return False


@given(st.dictionaries(st.text(), _json))
def test_what_is_encoded_reads_back_equal_and_the_rest_is_refused(fields: dict[str, Any]) -> None:
    if _faithful(fields):
        assert orjson.loads(encode(fields)[0]) == fields
    else:
        _refusal(fields)
