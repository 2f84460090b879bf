"""`fit`: what is too large is cut, in a stated order, and is still one valid event."""

from __future__ import annotations

import json
from typing import Any

import cefp
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.schemas import RejectCode, decode_enriched
from auditbus.sinks.siem.encodings import ENCODINGS, Event, Unencodable, fit
from auditbus.sinks.siem.encodings.text import TRUNCATED
from tests.unit.encoding_events import ENCODERS, anything, event_of, full, hostile_text
from tests.unit.leef_reader import read_leef

_CAP = 4_096


def _fitted(cap_bytes: int = _CAP, **fields: Any) -> dict[str, Any]:
    fitted = fit(event_of(full(**fields)), ENCODERS["json"], cap_bytes)
    assert len(fitted) <= cap_bytes
    decode_enriched(fitted)
    body: dict[str, Any] = orjson.loads(fitted)
    return body


def test_what_fits_is_left_alone() -> None:
    event = event_of(full())
    assert fit(event, ENCODERS["json"], len(event.value)) is event.value


def test_of_texts_as_long_the_unknown_goes_before_metadata_before_prose_before_names() -> None:
    big = "x" * 1_600
    sizes = dict.fromkeys(("unknown", "description"), big)
    body = _fitted(**sizes, metadata={"k": "short"})
    assert len(body["unknown"]) == 512
    assert body["description"] == big
    assert body["metadata"] == {"k": "short"}
    body = _fitted(metadata={"k": big}, description=big)
    assert len(body["metadata"]["k"]) == 512
    assert body["description"] == big
    body = _fitted(description=big, actor={"type": "user", "id": "u", "name": big})
    assert len(body["description"]) == 512
    assert body["actor"]["name"] == big


def test_the_longest_text_goes_first_wherever_it_stands() -> None:
    body = _fitted(
        unknown="u" * 500,
        metadata={"short": "s" * 400},
        actor={"type": "user", "id": "u", "name": "n" * 3_000},
    )
    assert body["unknown"] == "u" * 500
    assert body["metadata"]["short"] == "s" * 400
    assert body["actor"]["name"] == "n" * 500 + TRUNCATED


def test_what_identifies_an_event_is_never_cut() -> None:
    fields = full(metadata={"k": "x" * 100_000}, description="d" * 10_000)
    body = orjson.loads(fit(event_of(fields), ENCODERS["json"], 2_048))
    for name in ("id", "action", "occurred_at", "received_at", "category", "operation", "outcome"):
        assert body[name] == fields[name]
    assert body["account"]["id"] == "acme"
    assert body["actor"]["id"] == "u-17"
    assert body["context"]["ip"] == fields["context"]["ip"]
    assert [target["id"] for target in body["targets"]] == ["s-1", "u-30"]


@pytest.mark.parametrize(
    "fields",
    [
        {"targets": [{"type": "file", "id": f"f-{n}", "name": "n" * 50} for n in range(500)]},
        {"changes": [{"field": f"f{n}", "before": "b" * 90, "after": n} for n in range(300)]},
        {"metadata": {f"key {n}": [n] * 1_000 for n in range(50)}},
        {"metadata": {"k": json.loads('{"a":' * 60 + "1" + "}" * 60)} | {"x": "y" * 9_000}},
        {f"unknown {n}": "u" * 40 for n in range(900)},
        {"actor": {"type": "user", "id": "u-1", "department": "d" * 9_000}},
        {"context": {"forwarded_for": ["203.0.113.9"] * 900, "user_agent": "a" * 5_000}},
        {"error": {"code": "500", "message": "trace\n" * 3_000}},
    ],
    ids=["targets", "changes", "metadata", "deep", "unknown", "nested", "context", "error"],
)
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_whatever_is_large_is_cut_in_every_encoding(encoding: str, fields: dict[str, Any]) -> None:
    event = event_of(full(**fields))
    fitted = fit(event, ENCODERS[encoding], _CAP).decode()
    assert len(fitted.encode()) <= _CAP
    match encoding:
        case "cef":
            assert cefp.parse(fitted)["extension"]["externalId"] == event.fields["id"]
        case "leef":
            assert read_leef(fitted).attributes["eventId"] == event.fields["id"]
        case _:
            assert TRUNCATED in fitted
            orjson.loads(fitted)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_no_cut_makes_fit_is_refused(encoding: str) -> None:
    event = event_of(full(actor={"type": "user", "id": "i" * 9_000}))
    for cap_bytes in (200, 900):
        with pytest.raises(Unencodable, match=f"the cap is {cap_bytes}") as refused:
            fit(event, ENCODERS[encoding], cap_bytes)
        assert refused.value.code == RejectCode.TOO_LARGE
        assert "iii" not in refused.value.reason


@pytest.mark.parametrize("encoding", ENCODINGS)
@given(fields=anything, pad=hostile_text, cap_bytes=st.sampled_from([600, 1_500, 3_000]))
def test_any_object_is_cut_or_refused(
    encoding: str, fields: dict[str, Any], pad: str, cap_bytes: int
) -> None:
    event = event_of({**fields, "padding": pad * 100})
    try:
        fitted = fit(event, ENCODERS[encoding], cap_bytes)
    except Unencodable:
        return
    assert len(fitted) <= cap_bytes
    assert len(fitted.splitlines()) == 1
    fitted.decode()


def test_the_event_itself_is_not_changed() -> None:
    event = event_of(full(metadata={"k": ["x" * 900] * 40}, changes=[{"field": "f" * 9_000}]))
    before = orjson.dumps(event.fields)
    fit(event, ENCODERS["json"], 2_048)
    assert orjson.dumps(event.fields) == before
    assert isinstance(event, Event)
