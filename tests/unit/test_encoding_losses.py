"""Nothing of an event vanishes: each value of it, known or not, stands in every encoding of it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditbus.schemas import parse_rfc3339
from auditbus.sinks.siem.encodings import ENCODINGS
from tests.unit.encoding_events import ACTIONS, CUSTOM, ENCODERS, event_of, full

Path = tuple[str | int, ...]

# Without these no event, or no such part of one.
_REQUIRED = {
    *("id", "schema_version", "action", "occurred_at"),
    *("topic", "partition", "offset"),
}
_REQUIRED_AT: set[Path] = {("account", "id"), ("actor", "type"), ("changes", 0, "field")}
# What must have a form, and the forms that it may have; all else gets a text of its own.
_FORMS: dict[Path, list[Any]] = {
    ("occurred_at",): ["2026-11-22T10:00:00.123Z", "2026-11-22T10:00:00.123456Z"],
    ("received_at",): ["2026-11-22T10:00:01.456Z"],
    ("outcome",): ["success", "failure", "unknown"],
    ("actor", "type"): ["user", "service", "system"],
    ("actor", "email"): ["ann@example.com", "Ann <ann@example.com>"],
    ("context", "ip"): ["203.0.113.77", "198.51.100.8:4711", "2a02:8108::1", "[2A02::8]:443", "me"],
    ("location", "latitude"): [52.123456, 0.0, -912.345],
    ("location", "longitude"): [13.654321, 0.0, 1812.345],
    ("location", "asn"): [64_512_345, 2**63 + 4711],
    ("producer", "epoch"): [7_000_123],
    ("producer", "seq"): [41_000_456, 2**64 - 17],
    ("device", "is_bot"): [True, False],
}
_FIXED = {("id",), ("schema_version",), ("action",), ("category",), ("operation",)}
_ADDRESSES = ["203.0.113.9", "198.51.100.7:8443", "[2001:DB8::5]:80", "unknown-hop"]
_TYPES = ["user", "group", "organization", "storage"]
_kinds = st.sampled_from(
    [(action, None) for action in ACTIONS] + [(a, (c, o)) for a, c, o in CUSTOM]
)


@st.composite
def _events(draw: st.DrawFn) -> dict[str, Any]:
    """Some of the fields, each with a value that stands nowhere else, and unknown ones between."""
    numbers = count(100)

    def own(path: Path) -> Any:
        if path in _FORMS:
            return draw(st.sampled_from(_FORMS[path]))
        if path[:2] == ("context", "forwarded_for"):
            return draw(st.sampled_from(_ADDRESSES))
        if path[0] == "targets" and path[-1] == "type":
            return draw(st.sampled_from(_TYPES))
        return f"zq{next(numbers)}zq"

    def some(value: Any, path: Path) -> Any:
        if isinstance(value, list):
            return [some(one, (*path, at)) for at, one in enumerate(value)]
        if not isinstance(value, dict):
            is_fixed = path in _FIXED or path[0] == "origin"
            return value if is_fixed else own(path)
        kept = {
            name: some(part, (*path, name))
            for name, part in value.items()
            if name in _REQUIRED or (*path, name) in _REQUIRED_AT or draw(st.booleans())
        }
        if path != ("context", "client_hints") and draw(st.integers(0, 7)) == 0:
            kept["newer"] = {"deep": [own((*path, "newer")), next(numbers) * 1_000_003]}
        return kept

    action, words = draw(_kinds)
    fields = full(action, words, error={"code": "", "message": ""})
    fields["targets"] = fields["targets"][:1] * draw(st.integers(0, 3))
    fields["origin"] = {"topic": "zq-topic", "partition": 3_000_017, "offset": 17_000_019}
    return some(fields, ())  # type: ignore[no-any-return]


def _values(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _values(part, (*path, name))
    elif isinstance(value, list):
        for at, part in enumerate(value):
            yield from _values(part, (*path, at))
    else:
        yield path, value


def _ways(path: Path, value: Any) -> list[str]:
    """Return the texts by which a value may be told."""
    if isinstance(value, bool):
        return [str(path[-1])]
    if path == ("received_at",):
        return [value, str(round(parse_rfc3339(value).timestamp() * 1000))]
    if path == ("occurred_at",) and value.endswith(".123Z"):
        return [value, str(round(parse_rfc3339(value).timestamp() * 1000))]
    if path == ("outcome",):
        return [value, value.capitalize()]
    return [str(value)]


def _told_otherwise(encoding: str, path: Path) -> bool:
    """Tell whether a value is told by a number of the format, or by being there at all."""
    if path == ("schema_version",):
        return True  # another is refused
    return encoding == "ocsf" and path == ("actor", "type")  # type_id


@pytest.mark.parametrize("encoding", ENCODINGS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(fields=_events())
def test_no_value_vanishes(encoding: str, fields: dict[str, Any]) -> None:
    text = ENCODERS[encoding](event_of(fields)).decode()
    lost = [
        (path, value)
        for path, value in _values(fields)
        if not _told_otherwise(encoding, path)
        and not any(way in text for way in _ways(path, value))
    ]
    assert not lost
