"""What destinations put around an event: valid whatever the event holds, in every encoding."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditbus.schemas import Catalogue
from auditbus.sinks.siem.destination import DestinationKind, DestinationSettings
from auditbus.sinks.siem.destinations import envelopes, file
from auditbus.sinks.siem.encodings import ENCODINGS, Encoding, Event
from auditbus.sinks.siem.registry import built_in_kinds
from tests.pipeline import event

_SECRETS = {
    "splunk": {"token": "t"},
    "webhook": {"secret": "whsec_" + "QUJD" * 11},
    "file": {"path": "-"},
}
_HTTP = ("splunk", "elasticsearch", "otlp", "webhook")
_HOSTILE = st.text(
    st.sampled_from('\r\n\t\0"\\{}[]|=, \u2028\u2029\u0085\u200b\u202e\ufeffé')
    | st.characters(codec="utf-8"),
    max_size=20,
)


def _settings(kind: DestinationKind, name: str, encoding: str) -> DestinationSettings:
    values: dict[str, Any] = {"type": name, **_SECRETS.get(name, {})}
    if name != "file":
        values |= {"url": "https://siem.example.com"}
    return kind.settings.model_validate(values).model_copy(update={"encoding": encoding})


def _encoded(name: str, made: dict[str, Any], encoding: str = "json", indent: int = 0) -> bytes:
    kind = built_in_kinds()[name]
    value = orjson.dumps(made, option=orjson.OPT_INDENT_2 if indent else 0)
    encode = kind.encoder(_settings(kind, name, encoding), Catalogue.builtin())
    return encode(Event(value, orjson.loads(value), 1_700_000_000_123))


@pytest.fixture(params=[*ENCODINGS, "plain"])
def encoding(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every encoding there is, and one of plain text."""
    text = Encoding(lambda _: lambda e: f"CEF:0|{e.fields['description']}".encode(), is_json=False)
    for module in ("envelopes", "elasticsearch", "otlp", "file"):
        monkeypatch.setattr(
            f"auditbus.sinks.siem.destinations.{module}.ENCODINGS", {**ENCODINGS, "plain": text}
        )
    name: str = request.param
    return name


_EVENTS = [
    event(1, description='pl|ain "quoted" \\ text\nsecond line\r\u2028 \u202e rtl \u200b'),
    event(2, description="", account={"id": "\n", "name": "\t"}, metadata={"a\nb": "]}\n"}),
]


@pytest.mark.parametrize("made", _EVENTS)
def test_every_destination_carries_every_encoding(encoding: str, made: dict[str, Any]) -> None:
    is_json = encoding != "plain" and ENCODINGS[encoding].is_json
    splunk = json.loads(_encoded("splunk", made, encoding))
    assert splunk["fields"] == {"id": made["id"]}
    assert isinstance(splunk["event"], dict if is_json else str)
    webhook = json.loads(_encoded("webhook", made, encoding))
    assert isinstance(webhook, dict if is_json else str)
    action, document, rest = _encoded("elasticsearch", made, encoding).split(b"\n")
    assert json.loads(action) == {"create": {"_id": made["id"]}}
    assert "@timestamp" in json.loads(document)
    assert is_json or isinstance(json.loads(document)["message"], str)
    assert rest == b""
    line = _encoded("file", made, encoding)
    assert b"\n" not in line
    assert b"\r" not in line
    assert _encoded("otlp", made, encoding)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_HOSTILE, _HOSTILE, max_size=4), _HOSTILE, st.booleans())
def test_hostile_text_breaks_no_envelope(
    metadata: dict[str, str], text: str, indented: bool
) -> None:
    made = event(1, id=text, description=text, metadata=metadata, context={"ip": text})
    indent = 2 if indented else 0
    assert json.loads(_encoded("splunk", made, indent=indent))["event"] == made
    action, document, rest = _encoded("elasticsearch", made, indent=indent).split(b"\n")
    stored = json.loads(document)
    assert stored.pop("@timestamp") == made["occurred_at"]
    assert stored == made
    assert rest == b""
    assert 0 < len(json.loads(action)["create"]["_id"].encode()) <= 512
    line = _encoded("file", made, indent=indent)
    assert len(line.splitlines()) == 1 or b"\n" not in line
    assert json.loads(line) == made


@pytest.mark.parametrize(
    "made",
    [
        {},
        {"a": 1},
        {"id": None, "occurred_at": None},
        {"id": 7, "occurred_at": "yesterday", "account": [], "actor": "x", "context": 1},
        {"id": "", "occurred_at": "2026-02-30T00:00:00Z", "action": ["a"]},
        {"id": "x" * 600, "context": {"trace_id": "zz", "ip": {}}},
        {"@timestamp": 5, "id": "own"},
    ],
)
def test_what_the_raw_topic_may_hold_fits_too(made: dict[str, Any]) -> None:
    splunk = json.loads(_encoded("splunk", made))
    assert splunk["time"] == 1_700_000_000.123
    assert splunk["fields"]["id"] == ("own" if made.get("id") == "own" else splunk["fields"]["id"])
    action, document, _ = _encoded("elasticsearch", made).split(b"\n")
    assert json.loads(action)["create"]["_id"] == splunk["fields"]["id"]
    assert json.loads(document)["@timestamp"] == made.get("@timestamp", "2023-11-14T22:13:20.123Z")
    assert _encoded("otlp", made)


def test_what_has_no_id_is_named_by_its_bytes() -> None:
    first, again, other = (
        envelopes.event_id(Event(value, {}, 0)) for value in (b"{}", b"{}", b"{ }")
    )
    assert first == again != other


def test_times_are_those_of_the_event() -> None:
    made = Event(b"{}", {"occurred_at": "2026-01-02T03:04:05.678901Z"}, 5)
    assert envelopes.time_us(made) == 1_767_323_045_678_901
    assert envelopes.time_ms(made) == 1_767_323_045_678
    assert envelopes.time_text(made) == "2026-01-02T03:04:05.678901Z"
    assert envelopes.time_us(Event(b"{}", {}, -1)) == 0


def test_a_splunk_envelope_is_what_splunk_documents() -> None:
    made = event(1, occurred_at="2026-01-02T03:04:05.678Z")
    kind = built_in_kinds()["splunk"]
    options = _settings(kind, "splunk", "json").model_copy(update={"index": 'a"b', "host": "h"})
    value = orjson.dumps(made)
    assert json.loads(kind.encoder(options, Catalogue.builtin())(Event(value, made, 0))) == {
        "time": 1_767_323_045.678,
        "host": "h",
        "source": "auditbus",
        "sourcetype": "auditbus:event",
        "index": 'a"b',
        "fields": {"id": made["id"]},
        "event": made,
    }


def test_every_destination_over_http_shares_its_settings() -> None:
    from auditbus.sinks.siem.destinations.http import HttpSettings

    kinds = built_in_kinds()
    assert all(issubclass(kinds[name].settings, HttpSettings) for name in _HTTP)
    assert not issubclass(kinds["file"].settings, HttpSettings)
    assert file.KIND.ordered
