"""Every encoding through every destination: what is sent parts into just the events that went in.

Text is hostile in every field, unknown ones and keys among them. Receivers are parsers that are not
ours, or strict readers made from the specification.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import cefp
import orjson
import pytest
from hypothesis import given, settings
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from auditbus.schemas import RejectCode
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.syslog import client as syslog_client
from auditbus.sinks.siem.destinations.webhook import _body
from auditbus.sinks.siem.encodings import ENCODINGS, Encoder, Unencodable
from auditbus.sinks.siem.encodings.text import TRUNCATED
from auditbus.sinks.siem.registry import load_destinations
from tests.receivers.rfc5424 import read_lines, read_message, read_octet_counted
from tests.unit.encoding_events import event_of, hostile_events, hostile_text, raw
from tests.unit.leef_reader import read_leef
from tests.webhook_receiver import SECRET

_BEFORE = raw(id="019cd000-0000-7000-8000-00000000000b")
_AFTER = raw(id="019cd000-0000-7000-8000-00000000000c")
_HTTP = {"url": "https://siem.example.com"}
_TABLES: dict[str, dict[str, Any]] = {
    "splunk": {"type": "splunk", "token_env": "SECRET", **_HTTP},
    "elasticsearch": {"type": "elasticsearch", **_HTTP},
    "otlp": {"type": "otlp", **_HTTP},
    "webhook": {"type": "webhook", "secret_env": "SECRET", **_HTTP},
    "file": {"type": "file", "path": "-"},
    "syslog": {"type": "syslog", "host": "localhost", "max_message_bytes": 1_000_000},
    "syslog-lines": {
        "type": "syslog",
        "host": "localhost",
        "framing": "newline",
        "max_message_bytes": 1_000_000,
    },
}


@cache  # a context for TLS takes its time
def _encoder(name: str, encoding: str, **changes: Any) -> Encoder:
    table = {**_TABLES[name], "encoding": encoding, **changes}
    (found,) = load_destinations({"soc": table}, {"SECRET": SECRET})
    return found.kind.encoder(found.settings, found.catalogue)


def _concatenated(events: list[bytes]) -> list[str]:
    """Part objects that stand one after the other, as Splunk does."""
    text, found, decoder = b"".join(events).decode(), [], json.JSONDecoder()
    while text:
        value, end = decoder.raw_decode(text)
        found.append(value["event"])
        text = text[end:].lstrip("\n")
    return [_text(value) for value in found]


def _bulk(events: list[bytes]) -> list[str]:
    *lines, after = b"".join(events).split(b"\n")
    assert after == b""
    assert [list(json.loads(line)) for line in lines[::2]] == [["create"]] * len(events)
    documents = [json.loads(line) for line in lines[1::2]]
    return [
        document["message"] if document.keys() == {"@timestamp", "message"} else _text(document)
        for document in documents
    ]


def _otlp(events: list[bytes]) -> list[str]:
    return [one.body.string_value for one in ScopeLogs.FromString(b"".join(events)).log_records]


def _webhook(events: list[bytes]) -> list[str]:
    body = json.loads(_body(b"audit.events", Parcel("p", events, 0)))
    assert body.keys() == {"type", "timestamp", "data"}
    return [_text(value) for value in body["data"]]


def _file(events: list[bytes]) -> list[str]:
    *lines, after = b"".join(event + b"\n" for event in events).split(b"\n")
    assert after == b""
    return [line.decode() for line in lines]


def _syslog(framing: str) -> Callable[[list[bytes]], list[str]]:
    read = read_lines if framing == "newline" else read_octet_counted

    def parted(events: list[bytes]) -> list[str]:
        frames = read(syslog_client._framed(events, framing))
        assert not any(set(b"\n\r\0") & set(frame) for frame in frames)
        return [read_message(frame).msg.decode().removeprefix("\ufeff") for frame in frames]

    return parted


_RECEIVERS = {
    "splunk": _concatenated,
    "elasticsearch": _bulk,
    "otlp": _otlp,
    "webhook": _webhook,
    "file": _file,
    "syslog": _syslog("octet-counting"),
    "syslog-lines": _syslog("newline"),
}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _id(encoding: str, text: str) -> str:
    """Return the id that a SIEM reads in an event; raises where it is not one event."""
    match encoding:
        case "json":
            found = json.loads(text)["id"]
        case "ocsf":
            found = json.loads(text)["metadata"]["uid"]
        case "ecs":
            found = json.loads(text)["event"]["id"]
        case "cef":
            assert len(text.splitlines()) == 1
            found = cefp.parse(text)["extension"]["externalId"]
        case _:
            found = read_leef(text).attributes["eventId"]
    assert isinstance(found, str)
    return found


def test_every_kind_of_destination_is_here() -> None:
    from auditbus.sinks.siem.registry import built_in_kinds

    assert {table["type"] for table in _TABLES.values()} == built_in_kinds().keys()
    assert _TABLES.keys() == _RECEIVERS.keys()


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", _TABLES)
@settings(max_examples=20, deadline=None)
@given(fields=hostile_events)
def test_no_text_breaks_a_frame_or_injects_an_event(
    name: str, encoding: str, fields: dict[str, Any]
) -> None:
    encode = _encoder(name, encoding)
    sent = [encode(event_of(made)) for made in (_BEFORE, fields, _AFTER)]
    got = [_id(encoding, text) for text in _RECEIVERS[name](sent)]
    assert got == [_BEFORE["id"], fields["id"], _AFTER["id"]]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("name", ["syslog", "syslog-lines"])
@settings(max_examples=20, deadline=None)
@given(fields=hostile_events, text=hostile_text)
def test_what_is_over_the_cap_is_cut_with_a_mark(
    name: str, encoding: str, fields: dict[str, Any], text: str
) -> None:
    cap = 4_096
    encode = _encoder(name, encoding, max_message_bytes=cap)
    huge = fields | {"metadata": {"k": text + "x" * 5_000, text: [text] * 300}, "note": text * 99}
    sent = encode(event_of(huge))
    assert len(sent) <= cap
    (got,) = _RECEIVERS[name]([sent])
    assert _id(encoding, got) == fields["id"]
    assert TRUNCATED in got


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_no_cut_makes_fit_is_refused(encoding: str) -> None:
    encode = _encoder("syslog", encoding, max_message_bytes=1_024)
    with pytest.raises(Unencodable) as refused:
        encode(event_of(raw(account={"id": "a" * 2_000})))
    assert refused.value.code == RejectCode.TOO_LARGE


@pytest.mark.parametrize("name", _TABLES)
def test_the_raw_topics_json_may_be_spread_over_lines(name: str) -> None:
    """`json` passes bytes on: white space between tokens must not part an event."""
    value = orjson.dumps(raw(metadata={"a": [1, {"b": "\n"}]}), option=orjson.OPT_INDENT_2)
    event = type(event_of({}))(value.replace(b"\n", b"\r\n"), orjson.loads(value), 0)
    (got,) = _RECEIVERS[name]([_encoder(name, "json")(event)])
    assert json.loads(got)["metadata"] == {"a": [1, {"b": "\n"}]}
    assert _id("json", got) == raw()["id"]
