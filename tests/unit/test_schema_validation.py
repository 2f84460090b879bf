"""validate(): what is refused, with which code and field; what is accepted, unchanged."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from auditbus.schemas import MAX_EVENT_BYTES, InvalidEvent, RejectCode, validate
from tests.unit.schema_events import BAD, BAD_BYTES, GOOD, decoded, with_fields


def _refusal(raw: bytes | None, *, broker_time_ms: int | None = None) -> InvalidEvent:
    with pytest.raises(InvalidEvent) as caught:
        validate(raw, broker_time_ms=broker_time_ms)
    return caught.value


@pytest.mark.parametrize("name", GOOD)
def test_good_events_are_accepted(name: str) -> None:
    event = GOOD[name]
    assert validate(orjson.dumps(event)) == decoded(event)


@pytest.mark.parametrize("name", BAD)
def test_bad_events_are_refused_and_the_field_is_named(name: str) -> None:
    event, code, field, _ = BAD[name]
    refusal = _refusal(orjson.dumps(event))
    assert (refusal.code, refusal.field) == (code, field)


@pytest.mark.parametrize("name", BAD_BYTES)
def test_bad_bytes_are_refused(name: str) -> None:
    raw, code, field = BAD_BYTES[name]
    refusal = _refusal(raw)
    assert (refusal.code, refusal.field) == (code, field)


@pytest.mark.parametrize("spelling", [json.dumps, lambda event: json.dumps(event, indent=2)])
def test_another_spelling_of_the_same_event_is_accepted(
    spelling: Callable[[dict[str, Any]], str],
) -> None:
    event = with_fields(description="Zürich 🏔", metadata={"price": 1.50, "big": 2**63})
    assert validate(spelling(event).encode()) == decoded(event)


@pytest.mark.parametrize("size", [MAX_EVENT_BYTES, MAX_EVENT_BYTES + 1])
def test_the_size_limit_is_exact(size: int) -> None:
    empty = len(orjson.dumps(with_fields(x="")))
    raw = orjson.dumps(with_fields(x="x" * (size - empty)))
    assert len(raw) == size
    if size > MAX_EVENT_BYTES:
        assert _refusal(raw).code is RejectCode.TOO_LARGE
    else:
        validate(raw)


def test_metadata_of_exactly_64_kib_is_accepted() -> None:
    metadata = {"k": "x" * (65_536 - len('{"k":""}'))}
    assert validate(orjson.dumps(with_fields(metadata=metadata))).metadata == metadata


@pytest.mark.parametrize(
    ("occurred_at", "accepted"),
    [
        ("2017-01-01T00:00:00Z", True),  # nine years and more back
        ("2036-10-01T00:00:00Z", True),
        ("2016-10-01T00:00:00Z", False),
        ("2037-01-01T00:00:00Z", False),
        ("1970-01-01T00:00:00Z", False),
        ("2100-01-01T00:00:00Z", False),
        ("0001-01-01T00:00:00Z", False),
        ("9999-12-31T23:59:59Z", False),
    ],
)
def test_a_time_over_ten_years_from_the_brokers_is_refused(
    occurred_at: str, *, accepted: bool
) -> None:
    broker_time_ms = int(datetime(2026, 11, 22, tzinfo=UTC).timestamp() * 1000)
    raw = orjson.dumps(with_fields(occurred_at=occurred_at))
    if accepted:
        validate(raw, broker_time_ms=broker_time_ms)
    else:
        refusal = _refusal(raw, broker_time_ms=broker_time_ms)
        assert (refusal.code, refusal.field) == (RejectCode.INVALID_VALUE, "occurred_at")
    validate(raw)  # without the broker's time there is nothing to compare with


@pytest.mark.parametrize("name", [*BAD, *BAD_BYTES])
def test_a_refusal_never_quotes_the_event(name: str) -> None:
    raw = BAD_BYTES[name][0] or b"" if name in BAD_BYTES else orjson.dumps(BAD[name][0])
    marked = raw.replace(b"robot", b"hunter2").replace(b"maybe", b"hunter2")
    refusal = _refusal(marked or None)
    assert "hunter2" not in str(refusal)
    assert len(str(refusal)) < 300
