"""What is remembered of clean events never lets a secret pass, and stays bounded."""

from __future__ import annotations

import threading
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.producers import Redactor, SecretPattern, bound
from auditbus.producers.assembly import EventAssembler
from auditbus.producers.inspection import _MAX_MET, _MAX_MET_CHARACTERS
from auditbus.producers.secret_patterns import MARK
from auditbus.schemas import Catalogue
from auditbus.schemas.strict import StrictEvent
from auditbus.schemas.validation import strict_view

ID = "019cd000-0000-7000-8000-000000000001"
AT = "2026-11-22T10:00:00.123Z"
NOW_MS = 1_795_341_600_000
CARD = "4111111111111111"
TOKEN = "ghp_" + "a1B2" * 9
SHARED = Redactor()  # remembers from one example to the next

# At the borders of what is quick to judge.
SECRETS = [
    "eyJabcde..", "Basic dXNlcj", "BASIC dXNlcjpodW50ZXIy", "Bearer x1234567", "4222222222222",
    CARD, "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005", "pin=1", "pin: 1234",
    "password:hunter2", '{"pin":1}', "://:x@", "https://u:p@h/", TOKEN, f"é{TOKEN}",
    f'"{TOKEN}\\', "AKIA" + "ABCD1234" * 2, "SG." + "a" * 22, "whsec_" + "a/b+" * 5,
    f"{ID} {TOKEN}", f"{'long ' * 60}{TOKEN}",
]  # fmt: skip
HARMLESS = [
    "", "a", "u-17", "eyJ", "eyJabcd..", "x=1", "a:b", "pin", "token", "password", ID, f"x{ID}",
    "4111-1111-1111-1112", "1111-4111-1111-1111-1111", "411111111111", "9999999999999999",
    TOKEN[:23], "BASIC AUTH", "ASIAEXAMPLE00001", "https://h/a:b@c", "X-Api-Key",
    "TLS_AES_128_GCM_SHA256", "rv:109.0) Gecko/20100101", MARK, "\u2028 token\n", "4" * 300,
]  # fmt: skip
# Few, so that they come again in other places.
TEXTS = st.sampled_from(SECRETS + HARMLESS) | st.text(st.characters(codec="utf-8"), max_size=12)
NAMES = TEXTS | st.sampled_from(["region", "value", "before", "name", "field", "key", "credential"])
LEAVES = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([int(CARD), None, True, 1.5])
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


def _members(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=members)


EVENTS = st.fixed_dictionaries(
    {"id": st.just(ID), "schema_version": st.just(1), "action": st.just("Login"),
     "occurred_at": st.just(AT)},
    optional={
        "account": st.fixed_dictionaries({"id": TEXTS.filter(bool)}, optional={"name": TEXTS}),
        "actor": st.fixed_dictionaries(
            {"type": st.just("user")},
            optional={"id": TEXTS, "name": TEXTS, "email": TEXTS,
                      "credential": _members(type=TEXTS, id=TEXTS),
                      "on_behalf_of": _members(id=TEXTS, name=TEXTS)},
        ),
        "targets": st.lists(_members(type=TEXTS, id=TEXTS, name=TEXTS), max_size=2),
        "description": TEXTS,
        "error": _members(code=TEXTS, message=TEXTS),
        "context": _members(
            ip=TEXTS, user_agent=TEXTS, request_id=TEXTS, trace_id=TEXTS,
            forwarded_for=st.lists(TEXTS, max_size=2),
            client_hints=st.dictionaries(NAMES, TEXTS, max_size=2),
        ),
        "changes": st.lists(
            st.fixed_dictionaries({"field": NAMES}, optional={"before": VALUES, "after": VALUES}),
            max_size=2,
        ),
        "metadata": st.dictionaries(NAMES.filter(lambda name: len(name) < 40), VALUES, max_size=4),
        "producer": _members(service=TEXTS, instance=TEXTS, seq=st.integers(0, 2**53)),
        "unknown": VALUES,
    },
)  # fmt: skip


def _view(event: dict[str, Any]) -> StrictEvent | None:
    raw = orjson.dumps(event)
    return strict_view(event, len(raw), broker_time_ms=NOW_MS, is_new=False)


@given(EVENTS)
def test_the_look_is_never_content_where_the_walk_would_change_something(
    event: dict[str, Any],
) -> None:
    try:
        before = orjson.dumps(event)
    except orjson.JSONEncodeError:
        return  # a lone surrogate
    view = _view(event)
    assert ("unknown" in event) <= (view is None)
    expected = orjson.dumps(Redactor().redacted(event))
    for _ in range(3):  # met never, once, again
        for redactor in (SHARED, Redactor()):
            assert orjson.dumps(redactor.redacted(event)) == expected
            for seen_as in (view, None):
                if redactor.is_clean(event, seen_as):
                    assert expected == before
    assert orjson.dumps(event) == before


PLACES = [
    ("description",), ("account", "name"), ("actor", "name"), ("actor", "credential", "type"),
    ("actor", "on_behalf_of", "name"), ("targets", 0, "name"), ("error", "message"),
    ("context", "user_agent"), ("context", "forwarded_for", 0), ("context", "client_hints", "a"),
    ("changes", 0, "after"), ("metadata", "a"), ("metadata", "b", 0, "c"), ("producer", "service"),
    ("unknown",), ("unknown", "a"),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_alone_in_its_event_is_found_whatever_was_met_before(
    place: tuple[str | int, ...],
) -> None:
    for text in [*HARMLESS, *SECRETS, *HARMLESS, *SECRETS]:
        value: Any = text
        for step in reversed(place):
            value = [value] if step == 0 else {str(step): value}
        actor = {"type": "user", **value.pop("actor", {})}
        account = {"id": "acme", **value.pop("account", {})}
        changes = [{"field": "f", **change} for change in value.pop("changes", [])]
        event = {"id": ID, "schema_version": 1, "action": "Login", "occurred_at": AT,
                 "account": account, "actor": actor, "changes": changes, **value}  # fmt: skip
        view = _view(event)
        assert (view is None) == ("unknown" in event)
        is_secret = text in SECRETS
        assert (MARK in str(SHARED.redacted(event))) == (is_secret or text == MARK)
        for seen_as in (view, None):
            assert SHARED.is_clean(event, seen_as) != is_secret


@given(EVENTS, st.sampled_from(["account", "actor", "context"]))
def test_what_is_bound_is_judged_as_what_is_said(event: dict[str, Any], name: str) -> None:
    members = event.pop(name, None)
    if not members:
        return  # binds nothing
    said = EventAssembler("system", Catalogue.builtin(), Redactor())
    for redactor in (SHARED, Redactor()):
        assemble = EventAssembler("system", Catalogue.builtin(), redactor)
        expected = orjson.loads(said({**event, name: {**members}})[0])
        with bound(**{name: members}):  # type: ignore[misc] -- the name is drawn
            for _ in range(2):
                assert orjson.loads(assemble({**event})[0]) == expected


@pytest.mark.parametrize("secret", [TOKEN, CARD, "password: hunter2", "AKIA" + "ABCD1234" * 2])
def test_a_text_that_stands_where_it_may_stay_is_not_remembered_as_clean(secret: str) -> None:
    assemble = EventAssembler("system", Catalogue.builtin(), Redactor())
    for _ in range(4):
        assemble({"action": "A", "account": {"id": secret}, "outcome": "success"})
        assemble({"action": "A", "actor": {"type": "user", "id": secret}})
        event = orjson.loads(assemble({"action": "A", "metadata": {"note": f"{secret}"}})[0])
        assert MARK in event["metadata"]["note"]


def test_a_value_is_hidden_by_its_label_though_both_were_met_apart() -> None:
    assemble = EventAssembler("system", Catalogue.builtin(), Redactor())
    for _ in range(3):
        for headers in ([{"name": "Accept", "value": "abc"}], [{"name": "X-Api-Key"}]):
            event = orjson.loads(assemble({"action": "A", "metadata": {"headers": headers}})[0])
            assert event["metadata"]["headers"] == headers
    headers = [{"name": "X-Api-Key", "value": "abc"}]
    event = orjson.loads(assemble({"action": "A", "metadata": {"headers": headers}})[0])
    assert event["metadata"]["headers"] == [{"name": "X-Api-Key", "value": MARK}]


def test_an_operators_pattern_is_looked_for_in_short_texts_and_uuids() -> None:
    redactor = Redactor(patterns=[SecretPattern("id", r"E\d+|019cd000-[0-9a-f-]+")])
    assemble = EventAssembler("system", Catalogue.builtin(), redactor)
    targets = [{"type": "E1", "id": ID, "name": "n"}]
    for _ in range(2):
        event = orjson.loads(assemble({"action": "A", "targets": targets})[0])
        assert event["targets"] == [{"type": MARK, "id": MARK, "name": "n"}]


def test_a_false_alarm_is_judged_precisely_once() -> None:
    redactor = Redactor()
    asked: list[str] = []
    redact = redactor._inspection._redact
    redactor._inspection._redact = lambda text: asked.append(text) or redact(text)
    event = {"action": "A", "metadata": {"suite": "TLS_AES_128_GCM_SHA256", "note": "a = b"}}
    for _ in range(3):
        assert redactor.is_clean(event)
    assert sorted(asked) == ["TLS_AES_128_GCM_SHA256", "a = b"]


def test_what_is_remembered_is_bounded_in_number_and_in_length() -> None:
    redactor = Redactor()
    inspection = redactor._inspection
    assemble = EventAssembler("system", Catalogue.builtin(), redactor)
    long = "long text " * 60
    for number in range(3 * _MAX_MET // 2):
        actor = {"type": "user", "name": f"Somebody {number // 2}"}
        context = {"user_agent": f"agent of {number}"}
        assemble({"action": "A", "actor": actor, "context": context, "metadata": {"a": "b"}})
    assemble({"action": "A", "actor": {"type": "user", "name": long}, "description": long})
    remembered = inspection._met | inspection._once
    for kept in (inspection._met, inspection._once):
        assert len(kept) < _MAX_MET + 100
    assert any(isinstance(item, str) for item in remembered)
    assert all(len(str(item)) < 10 * _MAX_MET_CHARACTERS for item in remembered)
    assert long not in str(remembered)
    for number in range(6000):
        assemble({"action": "A", "metadata": {f"name-{number}": 1}})
    assert len(inspection._known) <= 4096 + 100


def test_threads_share_a_redactor() -> None:
    assemble = EventAssembler("system", Catalogue.builtin(), Redactor())
    wrong: list[object] = []

    def work(worker: int) -> None:
        for number in range(1500):
            note = f"{TOKEN} of {number}" if number % 3 == 0 else f"nothing in {number % 40}"
            event = {"action": "A", "actor": {"type": "user", "name": f"w {worker} {number % 50}"}}
            raw, _, _ = assemble({**event, "metadata": {"note": note}})
            if TOKEN.encode() in raw or (number % 3 and note.encode() not in raw):
                wrong.append(raw)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
