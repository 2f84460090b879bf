"""validate() on what nobody thought of: it accepts and keeps, or refuses with InvalidEvent."""

import json
import string
from datetime import datetime
from typing import Any

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from auditbus.schemas import RESERVED_FIELDS, InvalidEvent, uuid7, validate
from tests.unit.schema_events import FULL, MINIMAL, OPTIONAL, decoded

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
_text = st.none() | st.text()
_names = st.text(string.ascii_letters, min_size=1, max_size=20)
_events = st.builds(
    lambda base, known, unknown: {**unknown, **base, **known},
    st.fixed_dictionaries(
        {
            "id": st.integers(0, 2**40).map(uuid7),
            "schema_version": st.just(1),
            "action": st.from_regex(r"[A-Za-z][A-Za-z0-9_.:-]{0,99}", fullmatch=True),
            "occurred_at": st.datetimes().map(lambda at: at.isoformat() + "Z"),
        }
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "account": st.fixed_dictionaries({"id": st.text(min_size=1)}, optional={"name": _text}),
            "actor": st.fixed_dictionaries(
                {"type": st.sampled_from(["user", "service", "system"])},
                optional={"id": _text, "email": _text},
            ),
            "targets": st.none() | st.lists(st.fixed_dictionaries({}, optional={"name": _text})),
            "description": _text,
            "outcome": st.sampled_from(["success", "failure", "unknown", None]),
            "context": st.fixed_dictionaries(
                {}, optional={"ip": _text, "forwarded_for": st.lists(st.text())}
            ),
            "metadata": st.dictionaries(st.text(max_size=40), _json, max_size=5),
        },
    ),
    st.dictionaries(_names.filter(lambda name: name not in RESERVED_FIELDS), _json, max_size=3),
)


@given(_events)
def test_every_well_made_event_is_accepted_and_decodes_equal(event: dict[str, Any]) -> None:
    event = {name: value for name, value in event.items() if name != "producer"}
    assert validate(orjson.dumps(event)) == decoded(event)
    assert validate(json.dumps(event).encode()) == decoded(event)


def _judged(raw: bytes, broker_time_ms: int = 1_763_805_600_000) -> None:
    try:
        event = validate(raw, broker_time_ms=broker_time_ms)
    except InvalidEvent:
        return
    assert event == decoded(json.loads(raw))


@given(st.binary() | st.text().map(str.encode) | _json.map(orjson.dumps))
@example(b'{"id":')
def test_any_bytes_are_accepted_or_refused_and_nothing_else(raw: bytes) -> None:
    _judged(raw)


@given(st.dictionaries(st.sampled_from([*MINIMAL, *OPTIONAL, "extra"]), _json))
def test_any_value_in_any_field_is_accepted_or_refused(fields: dict[str, Any]) -> None:
    _judged(orjson.dumps({**MINIMAL, **fields}))


@given(st.data())
def test_any_damage_to_a_good_event_is_accepted_or_refused(data: st.DataObject) -> None:
    raw = bytearray(orjson.dumps(FULL))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    _judged(bytes(raw))


@given(st.integers(-(2**63), 2**63 - 1), st.datetimes())
def test_any_time_of_the_broker_is_compared_with(broker_time_ms: int, at: datetime) -> None:
    _judged(orjson.dumps({**MINIMAL, "occurred_at": at.isoformat() + "Z"}), broker_time_ms)
