"""RFC 5424 messages, judged by a strict reader that knows only the grammar."""

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.schemas.catalogue import Catalogue
from auditbus.sinks.siem import encodings
from auditbus.sinks.siem.destinations.syslog import client, message
from auditbus.sinks.siem.destinations.syslog.message import message_encoder
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings
from auditbus.sinks.siem.encodings import Encoding, Event, Unencodable, read_event
from auditbus.sinks.siem.records import Record
from tests.pipeline import event
from tests.receivers.rfc5424 import (
    Malformed,
    read_lines,
    read_message,
    read_octet_counted,
)
from tests.syslog_sending import HOSTILE

_texts = st.one_of(st.text(), st.sampled_from(HOSTILE))
_values = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), _texts)


def settings(**fields: Any) -> SyslogSettings:
    table = {"type": "syslog", "host": "localhost", "hostname": "host-1", **fields}
    return SyslogSettings.model_validate(table)


def record(value: bytes, timestamp_ms: int = 1_700_000_000_123) -> Record:
    return Record(0, 0, timestamp_ms, None, value, ())


def made(value: bytes, timestamp_ms: int = 1_700_000_000_123, **fields: Any) -> bytes:
    return message_encoder(settings(**fields), Catalogue.builtin())(
        read_event(record(value, timestamp_ms))
    )


def test_an_event_becomes_the_message_that_the_page_shows() -> None:
    value = orjson.dumps(
        event(7, id="e-1", occurred_at="2026-11-22T10:00:00.123Z", account={"id": "acme"})
    )
    read = read_message(made(value, enterprise_number=999))
    assert (read.pri, read.timestamp) == (13 * 8 + 3, "2026-11-22T10:00:00.123Z")
    assert (read.host, read.app, read.msgid) == ("host-1", "auditbus", "StorageDeleted")
    assert read.procid.isdigit()
    assert read.data == {
        "audit@999": {
            "id": "e-1",
            "account": "acme",
            "actor": "user-7",
            "ip": "81.2.69.142",
            "action": "StorageDeleted",
            "outcome": "success",
        }
    }
    assert read.msg == value
    assert not read.has_bom


@pytest.mark.parametrize(
    ("fields", "severity"),
    [
        ({"action": "Logout"}, 6),
        ({"action": "Login"}, 5),
        ({"action": "Login", "outcome": "failure"}, 4),
        ({"action": "Login", "error": {"code": "E"}}, 4),
        ({"action": "Login", "error": {"code": "E"}, "outcome": "success"}, 5),
        ({"action": "StorageUpdated"}, 4),
        ({"action": "Unheard.Of"}, 5),
    ],
)
def test_severity_is_the_catalogues_and_a_failure_one_worse(
    fields: dict[str, Any], severity: int
) -> None:
    assert read_message(made(orjson.dumps(event(**fields)))).pri == 13 * 8 + severity


def test_every_action_has_a_severity_within_the_documented_bounds() -> None:
    for action in Catalogue.builtin():
        for outcome in ("success", "failure", "unknown"):
            read = read_message(made(orjson.dumps(event(action=action, outcome=outcome))))
            assert 13 * 8 + 2 <= read.pri <= 13 * 8 + 6
            assert read.msgid == action[:32]


@pytest.mark.parametrize(
    ("occurred_at", "timestamp_ms", "expected"),
    [
        ("2026-11-22T10:00:00Z", 0, "2026-11-22T10:00:00Z"),
        ("2026-11-22T10:00:00.123456Z", 0, "2026-11-22T10:00:00.123456Z"),
        ("2026-11-22T10:00:00.123456789Z", 0, "2026-11-22T10:00:00.123456Z"),
        ("2026-11-22T10:00:00.123456+00:00", 0, "2026-11-22T10:00:00.123456Z"),
        ("2026-02-31T10:00:00Z", 1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        ("2026-11-22T23:59:60Z", 1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        ("yesterday", -1, "-"),
        (17, -1, "-"),
    ],
)
def test_the_timestamp_has_six_decimals_at_most_or_is_the_brokers(
    occurred_at: object, timestamp_ms: int, expected: str
) -> None:
    value = orjson.dumps(event(occurred_at=occurred_at))
    assert read_message(made(value, timestamp_ms)).timestamp == expected


def test_a_long_or_odd_action_is_cut_in_msgid_alone() -> None:
    long = "Very.Long:Action-" + "x" * 80
    read = read_message(made(orjson.dumps(event(action=long))))
    assert read.msgid == long[:32]
    assert read.data["audit@32473"]["action"] == long
    assert read_message(made(orjson.dumps(event(action="a b\né")))).msgid == "a_b__"
    assert read_message(made(orjson.dumps(event(action="")))).msgid == "-"


def test_json_spread_over_lines_is_put_on_one_and_means_the_same() -> None:
    shown = orjson.dumps(event(description="two\nlines\ttab"), option=orjson.OPT_INDENT_2)
    value = b"\n\t " + shown.replace(b"\n", b"\r\n") + b"\n"
    text = made(value)
    assert not set(b"\n\r\t") & set(text)
    assert orjson.loads(read_message(text).msg) == orjson.loads(value)


def test_one_byte_over_the_cap_is_cut_and_the_cap_itself_is_not() -> None:
    value = orjson.dumps(event(description="é" * 1000))
    size = len(made(value))
    assert len(made(value, max_message_bytes=size)) == size
    text = made(value, max_message_bytes=size - 1)
    assert len(text) < size
    cut = orjson.loads(read_message(text).msg)
    assert cut["description"].endswith("…[truncated]")
    assert cut | {"description": ""} == orjson.loads(value) | {"description": ""}


def test_what_no_cut_makes_fit_is_refused() -> None:
    with pytest.raises(Unencodable) as caught:
        made(orjson.dumps(event(account={"id": "é" * 5000})))
    assert caught.value.code == "too_large"
    assert "é" not in caught.value.reason


@pytest.mark.parametrize(
    ("bom", "is_json", "expected"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("always", True, True),
        ("never", False, False),
    ],
)
def test_the_byte_order_mark_stands_before_text_and_not_before_json(
    monkeypatch: pytest.MonkeyPatch, bom: str, is_json: bool, expected: bool
) -> None:
    _encode_as(monkeypatch, lambda _: b"CEF:0|a|b", is_json=is_json)
    read = read_message(made(orjson.dumps(event()), bom=bom))
    assert (read.has_bom, read.msg) == (expected, b"CEF:0|a|b")


def test_text_that_would_break_a_frame_is_spaced_and_its_tabs_are_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _encode_as(monkeypatch, lambda _: b"LEEF:2.0|x09|\ta=1\tb=\r\n<13>1 - \0", is_json=False)
    read = read_message(made(orjson.dumps(event()), bom="never"))
    assert read.msg == b"LEEF:2.0|x09|\ta=1\tb=  <13>1 -  "


@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            "id": _values,
            "action": _values,
            "occurred_at": _values,
            "outcome": _values,
            "error": _values,
            "description": _values,
            "account": st.one_of(_values, st.dictionaries(st.just("id"), _values)),
            "actor": st.one_of(_values, st.dictionaries(st.sampled_from(["id", "n"]), _values)),
            "context": st.dictionaries(st.just("ip"), _values),
            "metadata": st.dictionaries(_texts, _values, max_size=5),
        },
    ),
    spread=st.booleans(),
    timestamp_ms=st.sampled_from([-1, 0, 1_700_000_000_123]),
)
def test_no_event_breaks_a_message_or_a_frame(
    fields: dict[str, Any], spread: bool, timestamp_ms: int
) -> None:
    value = orjson.dumps(fields, option=orjson.OPT_INDENT_2 if spread else 0)
    text = made(value, timestamp_ms)
    assert not set(b"\n\r\0") & set(text)
    read = read_message(text)
    assert orjson.loads(read.msg) == fields
    if not spread:
        assert read.msg == value
    (element,) = read.data
    assert element == "audit@32473"
    account = fields.get("account")
    for name, given_value in {
        "id": fields.get("id"),
        "account": account.get("id") if isinstance(account, dict) else None,
    }.items():
        shown = read.data[element].get(name)
        assert shown == (_as_shown(given_value) if isinstance(given_value, str) else None)
    batch = [text, text, made(b"{}"), text]
    assert read_octet_counted(client._framed(batch, "octet-counting")) == batch
    assert read_lines(client._framed(batch, "newline")) == batch


def _as_shown(value: str) -> str:
    """What a value looks like to a reader: every control a replacement character, cut at 256."""
    cut = value if len(value) <= 256 else value[:255] + "…"
    controls = {chr(code) for code in (*range(32), *range(127, 160))}
    return "".join("\ufffd" if character in controls else character for character in cut)


def test_a_lone_surrogate_does_not_get_as_far() -> None:
    with pytest.raises(Unencodable):
        made(b'{"id":"\\ud800"}')


@pytest.mark.parametrize(
    "text",
    [
        b"<110>1 - - - - - -\n",
        b"<110>1 2026-02-31T00:00:00Z - - - - -",
        b'<110>1 - - - - - [a b="c]"]',
        b'<110>1 - - - - - [a b="c"]x',
        b"<192>1 - - - - - -",
        b"<110>1 - - - - " + b"x" * 33 + b" -",
    ],
)
def test_the_reader_refuses_what_the_grammar_does(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # Malformed is one, as is fromisoformat's
        read_message(text)
    with pytest.raises(Malformed):
        read_octet_counted(b"5 " + text[:4])


def _encode_as(
    monkeypatch: pytest.MonkeyPatch, encode: Callable[[Event], bytes], *, is_json: bool
) -> None:
    table = {**encodings.ENCODINGS, "json": Encoding(lambda _: encode, is_json=is_json)}
    monkeypatch.setattr(message, "ENCODINGS", table)


def test_printable_names_only_make_a_header() -> None:
    for name in ("a b", "ü", "", "x" * 256, "a\n"):
        with pytest.raises(ValueError, match="hostname"):
            settings(hostname=name)
