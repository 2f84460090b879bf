"""Redaction: no e-mail or IP address that is put into an event is in the bytes that go out."""

import html
import time
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import quote, unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from auditbus.runtime.errors import SettingsError
from auditbus.sinks.siem.encodings import Event, Unencodable
from auditbus.sinks.siem.redaction import RedactionSettings, compile_redaction
from auditbus.sinks.siem.registry import load_destinations
from tests.pipeline import event
from tests.unit.encoding_events import ENCODERS, event_of, full
from tests.webhook_receiver import SECRET

_KEY = "a key that is long enough"


def _redacted(whole: dict[str, Any], /, **settings: Any) -> dict[str, Any]:
    return orjson.loads(_bytes(whole, **settings))


def _bytes(whole: dict[str, Any], /, **settings: Any) -> bytes:
    redact = compile_redaction(RedactionSettings.model_validate({"key": _KEY, **settings}))
    value = orjson.dumps(whole)
    return redact(Event(value, orjson.loads(value), 0)).value


_local = st.text(alphabet="abcXYZ019._+-'%=/é", min_size=1, max_size=12)
_label = st.text(alphabet="abcXYZ019-ü例", min_size=1, max_size=8)
_domain = st.lists(_label, min_size=1, max_size=3).map(".".join)
_quoted = st.text(alphabet="ab c.,", min_size=1, max_size=9).map(lambda text: f'"{text}"')
_EMAILS = st.builds(lambda local, domain: f"{local}@{domain}", st.one_of(_local, _quoted), _domain)
_V4 = st.ip_addresses(v=4).map(str)
_V6 = st.one_of(
    st.ip_addresses(v=6),
    st.ip_addresses(v=4).map(lambda v4: IPv6Address(f"::ffff:{v4}")),
    st.integers(1, 0xFFFF_FFFF).map(lambda low: IPv6Address((0x20010DB8 << 96) + low)),
)


def _spell_v6(address: Any, spelling: str) -> str:
    mapped = address.ipv4_mapped
    return {
        "short": str(address),
        "upper": str(address).upper(),
        "long": address.exploded,
        "mapped": f"::ffff:{mapped}" if mapped else str(address),
    }[spelling]


_IPS = st.one_of(
    _V4, st.builds(_spell_v6, _V6, st.sampled_from(["short", "upper", "long", "mapped"]))
)
_DRESSES: list[Callable[[str], str]] = [
    lambda ip: ip,
    lambda ip: f"[{ip}]:443" if ":" in ip else f"{ip}:443",
    lambda ip: f"{ip}%eth0" if ":" in ip else f"{ip}/32",
]
_CODES: list[Callable[[str], str]] = [
    lambda text: text,
    lambda text: quote(text, safe=""),
    lambda text: quote(quote(text, safe=""), safe=""),
    lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    lambda text: "".join(f"&#{ord(c)};" for c in text),
    lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "\u200b".join,
    lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
]
_AROUND = ["{}", "Login of {} failed", "<{}>", "a,{};b", "({})", "to={}", 'say "{}"', "\n{}\t"]
_PLACES: list[Callable[[str], dict[str, Any]]] = [
    lambda text: {"description": text},
    lambda text: {"error": {"code": "E1", "message": text}},
    lambda text: {"metadata": {"deep": [[{"list": [text, 1]}]]}},
    lambda text: {"metadata": {text: "as a key"}},
    lambda text: {"metadata": {"a": {text: {"x": None}}}},
    lambda text: {"changes": [{"field": "owner", "before": text, "after": {"now": text}}]},
    lambda text: {"context": {"user_agent": f"agent/1.0 ({text})", "forwarded_for": [text]}},
    lambda text: {"targets": [{"type": "user", "id": text, "name": text}]},
    lambda text: {
        "actor": {"type": "user", "id": text, "name": text, "on_behalf_of": {"id": text}}
    },
    lambda text: {"unknown": orjson.dumps({"nested": text}).decode()},
]
_ACTIONS = st.sampled_from(["drop", "mask", "hash"])


def _views(value: bytes) -> set[str]:
    """What anybody can read in the bytes: as they are, and decoded."""
    text = value.decode()
    views = {text, orjson.dumps(orjson.loads(value)).decode()}
    for _ in range(3):
        views |= {unquote(v) for v in views} | {html.unescape(v) for v in views}
        views |= {v.replace("\u200b", "").replace("\\\\u200b", "") for v in views}
    return {view.lower() for view in views}


@given(
    _EMAILS, st.sampled_from(_CODES), st.sampled_from(_AROUND), st.sampled_from(_PLACES), _ACTIONS
)
def test_no_email_survives(
    email: str,
    code: Callable[[str], str],
    around: str,
    place: Callable[[str], dict[str, Any]],
    action: str,
) -> None:
    planted = code(email)
    value = _bytes(event(**place(around.format(planted))), emails=action)
    for view in _views(value):
        assert planted.lower() not in view
        assert email.lower() not in view
        assert orjson.dumps(email).decode()[1:-1].lower() not in view


@given(
    _IPS,
    st.sampled_from(_DRESSES),
    st.sampled_from(_CODES),
    st.sampled_from(_AROUND),
    st.sampled_from(_PLACES),
    _ACTIONS,
)
def test_no_ip_address_survives(
    ip: str,
    dress: Callable[[str], str],
    code: Callable[[str], str],
    around: str,
    place: Callable[[str], dict[str, Any]],
    action: str,
) -> None:
    if ip == "::":
        return  # says nothing of anyone
    planted = code(dress(ip))
    value = _bytes(event(**place(around.format(planted))), ip_addresses=action)
    for view in _views(value):
        assert planted.lower() not in view
        if len(ip) > 4:  # "::1" may be a part of a time or a hash
            assert ip.lower() not in view


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("joe@example.org", "[email]"),
        ("mailto:joe@example.org?subject=x", "mailto:[email]?subject=x"),
        ("Joe <Joe.X+tag@Example.ORG>, ok", "Joe <[email]>, ok"),
        ('"joe x"@example.org', "[email]"),
        ("jörg@münchen.de", "[email]"),
        ("joe@[192.0.2.1]", "[email]"),
        ("to=joe%40example.org&x=1", "[email]&x=1"),
        ("from 192.0.2.1:8080 to [2001:db8::1]:443", "from [ip]:8080 to [[ip]]:443"),
        ("fe80::1%eth0.", "[ip]"),
        ("::ffff:192.0.2.1 and 192.000.002.001", "[ip] and [ip]"),
        ("ends with 192.0.2.1.", "ends with [ip]."),
        ("1:2:3:4:5:6:7:8", "[ip]"),
    ],
)
def test_addresses_in_texts_are_masked(text: str, expected: str) -> None:
    shown = _redacted({"description": text}, emails="mask", ip_addresses="mask")
    assert shown["description"] == expected


@pytest.mark.parametrize(
    "text",
    ["10:00:00", "2026-11-22T10:00:00.000Z", "std::deque", "Foo::Bar", "1.2.3", "999.1.2.3"],
)
def test_what_is_no_address_stays(text: str) -> None:
    shown = _redacted({"description": text}, emails="mask", ip_addresses="mask")
    assert shown["description"] == text


def test_a_hash_joins_the_same_address_in_every_spelling() -> None:
    fields = {
        "a": "Joe@Example.org",
        "b": ["joe@example.ORG", "ip ::ffff:192.0.2.1", "192.0.2.1:80", "192.000.2.1"],
        "c": "joe@bücher.de",
        "d": "joe%40xn--bcher-kva.de",
        "e": "2001:DB8:0::1%eth0",
        "f": "[2001:db8::1]:443",
    }
    shown = _redacted(fields, emails="hash", ip_addresses="hash")
    assert shown["a"] == shown["b"][0]
    assert shown["a"].startswith("email_")
    v4 = shown["b"][3]
    assert shown["b"][1:3] == [f"ip {v4}", f"{v4}:80"]
    assert shown["c"] == shown["d"] != shown["a"]
    assert shown["f"] == f"[{shown['e']}]:443"
    other = _redacted(fields, emails="hash", key="another key of some length")
    assert other["a"] != shown["a"]


def test_drop_leaves_out_whole_fields_and_parts_of_texts() -> None:
    shown = _redacted(
        {
            "actor": {"id": "7", "email": "joe@example.org"},
            "context": {"ip": "192.0.2.1", "forwarded_for": ["192.0.2.2", "unknown"]},
            "description": "joe@example.org did it",
            "metadata": {"joe@example.org": 1, "n": 2},
            "changes": [{"field": "email", "before": "odd address", "after": None}],
        },
        emails="drop",
        ip_addresses="drop",
    )
    assert shown == {
        "actor": {"id": "7"},
        "context": {"forwarded_for": []},
        "description": "[removed] did it",
        "metadata": {"n": 2},
        "changes": [{"field": "email", "after": None}],
    }


def test_named_fields_go_by_path_through_lists_and_keys_never_collide() -> None:
    shown = _redacted(
        {
            "actor": {"name": "Joe", "id": "7"},
            "targets": [{"name": "a", "id": "1"}, {"name": "b"}],
            "metadata": {"ssn": {"n": 1}, "a@b.c": 1, "d@e.f": 2},
        },
        emails="mask",
        fields={"actor.name": "drop", "targets.name": "mask", "metadata.ssn": "hash"},
    )
    assert shown["actor"] == {"id": "7"}
    assert shown["targets"] == [{"name": "[redacted]", "id": "1"}, {"name": "[redacted]"}]
    assert shown["metadata"].pop("ssn").startswith("redacted_")
    assert shown["metadata"] == {"[email]": 1, "[email]#2": 2}


def test_what_cannot_be_redacted_is_not_sent() -> None:
    deep: Any = "joe@example.org"
    for _ in range(900):
        deep = [deep]
    redact = compile_redaction(RedactionSettings.model_validate({"emails": "mask"}))
    with pytest.raises(Unencodable) as refused:
        redact(Event(b"", {"metadata": {"deep": deep}}, 0))
    assert "joe" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000 + "@",
        "1:" * 100_000,
        "1." * 100_000,
        '"' * 200_000 + "@",
        "a@" * 100_000,
        "%25" * 60_000,
        "::" * 100_000,
    ],
)
def test_time_grows_with_the_length_of_a_text_only(text: str) -> None:
    started = time.process_time()
    _bytes({"description": text}, emails="mask", ip_addresses="mask")
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("redact", "message"),
    [
        ({}, r"redact: is empty"),
        ({"emails": "remove"}, r"redact\.emails: .*'drop'"),
        ({"mails": "drop"}, r"redact\.mails: Extra"),
        ({"ip_addresses": "hash"}, r"redact: key: hash needs key_env or key_file"),
        ({"emails": "hash", "key_env": "SHORT"}, r"redact: key: must have at least 16"),
        (
            {"emails": "hash", "key": "in the settings file"},
            r"redact\.key: a secret does not belong",
        ),
        ({"emails": "hash", "key_env": "NOT_SET"}, r"redact\.key_env: the variable NOT_SET"),
        ({"fields": {"actor..name": "drop"}}, r"redact\.fields: must be dotted"),
        ({"fields": {"id": "drop"}}, r"redact\.fields: id is needed"),
        ({"fields": {"actor.name": "kill"}}, r"redact\.fields\.actor\.name: "),
    ],
)
def test_a_wrong_redaction_is_refused_with_its_key(redact: object, message: str) -> None:
    table = {
        "type": "webhook",
        "url": "https://siem.example.com/hook",
        "secret_env": "HOOK_SECRET",
        "redact": redact,
    }
    environ = {"HOOK_SECRET": SECRET, "SHORT": "short"}
    with pytest.raises(SettingsError, match=message) as refused:
        load_destinations({"soc": table}, environ)
    assert str(refused.value).startswith("forwarder.destinations.soc.redact")


def test_a_key_comes_from_a_variable_and_is_hidden() -> None:
    table = {
        "type": "webhook",
        "url": "https://siem.example.com/hook",
        "secret_env": "HOOK_SECRET",
        "redact": {"emails": "hash", "key_env": "REDACTION_KEY"},
    }
    (found,) = load_destinations({"soc": table}, {"HOOK_SECRET": SECRET, "REDACTION_KEY": _KEY})
    assert found.settings.redact is not None
    assert _KEY not in repr(found)
    assert ip_address("192.0.2.1").version == 4


def _paths(value: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, part in value.items():
        yield f"{prefix}{name}"
        inner = part[0] if isinstance(part, list) and part else part
        if isinstance(inner, dict):
            yield from _paths(inner, f"{prefix}{name}.")


_WHOLE = full(error={"code": "E-77", "message": "no such key"})
_NEVER = {"id", "schema_version", "action", "occurred_at", "received_at", "outcome", "actor.type"}


@pytest.mark.parametrize("action", ["drop", "mask", "hash"])
@pytest.mark.parametrize("path", [*_paths(_WHOLE), "changes.redacted"])
def test_any_field_is_refused_at_start_or_redacted_in_every_encoding(
    path: str, action: str
) -> None:
    """Not accepted, and then a dead letter of every event."""
    table = {"fields": {path: action}, "key": "k" * 20}
    refusal = ""
    try:
        settings = RedactionSettings.model_validate(table)
    except ValidationError as error:
        refusal = str(error)
    if refusal:
        assert path in refusal
        return
    assert path not in _NEVER
    shown = compile_redaction(settings)(event_of(_WHOLE))
    for name, encode in ENCODERS.items():
        encoded = encode(shown)
        if path.startswith("metadata") and action != "drop":
            assert (b"[redacted]" if action == "mask" else b"redacted_") in encoded, name
        if path in {"metadata", "metadata.region"}:
            assert b"eu-central-1" not in encoded


def test_an_object_keeps_its_shape() -> None:
    redact = compile_redaction(RedactionSettings.model_validate({"fields": {"metadata": "mask"}}))
    made = full(metadata={"a": {"b": [1, "x", None, {"c": True}]}, "d": ""})
    assert redact(event_of(made)).fields["metadata"] == {
        "a": {"b": ["[redacted]", "[redacted]", None, {"c": "[redacted]"}]},
        "d": "",
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"outcome": "drop"}, "outcome is needed"),
        ({"error": "drop"}, "error cannot be dropped"),
        ({"account.id": "drop"}, "account.id cannot be dropped"),
        ({"location": "mask"}, "location holds no text: it can only be dropped"),
        ({"producer.seq": "hash"}, "producer.seq holds no text"),
    ],
)
def test_what_would_spoil_every_event_is_refused_by_name(
    fields: dict[str, str], message: str
) -> None:
    with pytest.raises(ValidationError, match=f"fields\n.*{message}"):
        RedactionSettings.model_validate({"fields": fields, "key": "k" * 20})
