"""The quick look at an event's bytes: it may see too much, and never too little."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditbus.producers import Redactor
from auditbus.producers.assembly import EventAssembler
from auditbus.producers.raw_screening import Suspicion
from auditbus.schemas import Catalogue
from tests.source_records import RECORDS
from tests.unit.test_producer_redaction import (
    AT,
    FRAGMENTS,
    HARMLESS_NAMES,
    HOSTILE,
    ID,
    JSON,
    PLAIN,
    SECRET_NAMES,
    SECRETS,
)  # fmt: skip

REDACTORS = [
    Redactor(),
    Redactor(without=["aws"], allow=["credentials"]),
    Redactor(names=["license_plate"]),
    Redactor(names=["access_key", "myAccessKeyId"]),
]
_SMALL = st.text('abk"\\\n\t\x01 :=/@.-_é\u00a0\u2003Ii0', max_size=6)
_TEXTS = FRAGMENTS | SECRETS | st.tuples(_SMALL, SECRETS | FRAGMENTS, _SMALL).map("".join)
_NAMES = (
    st.sampled_from([*SECRET_NAMES, *HARMLESS_NAMES, "name", "value", "field", "before"])
    | st.tuples(_SMALL, st.sampled_from([*SECRET_NAMES, "accessKeyId"]), _SMALL).map("".join)
    | st.tuples(st.sampled_from(SECRET_NAMES), _SMALL, st.integers(0, 9)).map(
        lambda parts: parts[0][: parts[2]] + parts[1] + parts[0][parts[2] :]
    )
    | PLAIN
)  # fmt: skip
_METADATA = st.recursive(
    JSON | _TEXTS | _NAMES | st.sampled_from([4111111111111111, 4222222222222, 1764072000000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES | _TEXTS, inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("redactor", REDACTORS)
@given(metadata=st.dictionaries(_NAMES | _TEXTS, _METADATA, max_size=3))
@example(metadata={"a": "\n4111111111111111"})
@example(metadata={"accessKey": "x1"})
@example(metadata={"accessKeyId": {"access_key_id_v2": "x1"}})
@example(metadata={'accessKey"v2': "x1"})
@example(metadata={"accessKeyI": "x1"})
@example(metadata={'accessKeyI"x': "x1"})
@example(metadata={'accessKeyId"x': "x1"})
@example(metadata={"accessKeyId": "x1"})
@example(metadata={"myAccessKeyId": "x1"})
@example(metadata={"a": "password :hunter2"})
@example(metadata={"a": "password\t:hunter2"})
@example(metadata={"x": [{"name": "my-pin", "value": "77"}]})
def test_what_would_be_redacted_is_never_let_through(
    redactor: Redactor, metadata: dict[str, Any]
) -> None:
    event = {
        "id": ID,
        "action": "Login",
        "occurred_at": AT,
        "metadata": metadata,
        "other": [metadata],
    }
    screen = redactor.raw_screen()
    assert screen is not None
    try:
        raw = orjson.dumps(event)
    except orjson.JSONEncodeError:
        return  # a lone surrogate
    suspicion = screen(raw)
    event = orjson.loads(raw)
    if orjson.dumps(redactor.redacted(event)) != raw:
        assert suspicion is not Suspicion.NONE
        if suspicion is Suspicion.NAMES:
            assert not redactor.names_are_clean(event)


@given(st.lists(st.sampled_from(HOSTILE) | SECRETS | FRAGMENTS, max_size=6).map("".join))
def test_no_text_that_holds_a_secret_is_let_through(text: str) -> None:
    screen = REDACTORS[0].raw_screen()
    assert screen is not None
    event = {"metadata": {"note": text}}
    if REDACTORS[0].redacted(event) != event:
        assert screen(orjson.dumps(event)) is Suspicion.TEXTS


def test_more_names_than_the_automaton_holds_are_looked_for_without_it() -> None:
    redactor = Redactor(names=[f"{'long' * 9}{number}" for number in range(400)])
    assert redactor.raw_screen() is None
    assemble = EventAssembler("system", Catalogue.builtin(), redactor, from_json=True)
    raw, _, _ = assemble({"action": "Login", "metadata": {f"{'long' * 9}7": "hunter2"}})
    assert b"hunter2" not in raw


@pytest.mark.parametrize("name", RECORDS)
def test_an_import_holds_what_a_service_would_have_emitted(name: str) -> None:
    fields = {
        "id": ID,
        "action": "X",
        "occurred_at": AT,
        "description": None,
        "account": {"id": "a"},
    }
    for number in range(40):
        record = RECORDS[name](number)
        if number % 3 == 0:
            record["note"] = {"apiKey": "x", "text": "see https://a:hunter2@example.com/ \n"}
        said = {**fields, "metadata": {name: record}}
        made = [
            EventAssembler("system", Catalogue.builtin(), REDACTORS[1], from_json=from_json)(
                {**said}
            )
            for from_json in (False, True)
        ]
        assert made[0] == made[1]
        assert (b"hunter2" in made[0][0]) is False
