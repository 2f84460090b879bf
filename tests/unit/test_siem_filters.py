"""Filters: what a plain reference refuses is never sent, and a wrong filter is refused by name."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.runtime.errors import SettingsError
from auditbus.schemas.catalogue import Catalogue, Severity
from auditbus.sinks.siem.encodings import Event, Unencodable
from auditbus.sinks.siem.filters import FilterSettings, compile_filter
from auditbus.sinks.siem.registry import load_destinations
from tests.webhook_receiver import SECRET

_TABLE: dict[str, Any] = {
    "type": "webhook",
    "url": "https://siem.example.com/hook",
    "secret_env": "HOOK_SECRET",
}
_ENVIRON = {"HOOK_SECRET": SECRET}
_ACTIONS = ("StorageDeleted", "Login", "acme.own", "RepositoryPublicized")


def _filtered(fields: object, filter_: Mapping[str, Any], *, raw: bool = False) -> bool:
    settings = FilterSettings.model_validate(filter_)
    wanted = compile_filter(settings, Catalogue.builtin(), raw=raw, path="filter")
    value = fields if isinstance(fields, bytes) else orjson.dumps(fields)
    return wanted(Event(value, orjson.loads(value), 0))


@pytest.mark.parametrize(
    ("filter_", "message"),
    [
        ({}, r"soc\.filter: is empty"),
        ({"acounts": ["a"]}, r"soc\.filter\.acounts: Extra inputs"),
        ({"accounts": []}, r"soc\.filter\.accounts: "),
        ({"accounts": "acme"}, r"soc\.filter\.accounts: "),
        ({"accounts": [""]}, r"soc\.filter\.accounts\.0: "),
        ({"accounts": [7]}, r"soc\.filter\.accounts\.0: "),
        ({"exclude_accounts": []}, r"soc\.filter\.exclude_accounts: "),
        ({"actions": ["no spaces"]}, r"soc\.filter\.actions\.0: "),
        ({"exclude_actions": [True]}, r"soc\.filter\.exclude_actions\.0: "),
        ({"categories": ["storrage"]}, r"soc\.filter\.categories: .*no storrage"),
        ({"exclude_categories": ["x"]}, r"soc\.filter\.exclude_categories: .*no x"),
        ({"outcome": ["failed"]}, r"soc\.filter\.outcome\.0: .*'failure'"),
        ({"outcome": "failure"}, r"soc\.filter\.outcome: "),
        ({"minimum_severity": "severe"}, r"soc\.filter\.minimum_severity: .*'critical'"),
        ({"minimum_severity": 3}, r"soc\.filter\.minimum_severity: "),
        ("failure", r"soc\.filter: "),
    ],
)
def test_a_wrong_filter_is_refused_with_its_key(filter_: object, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as refused:
        load_destinations({"soc": {**_TABLE, "filter": filter_}}, _ENVIRON)
    assert str(refused.value).startswith("forwarder.destinations.soc.filter")


def test_the_operators_catalogue_counts() -> None:
    own = Catalogue.builtin()["StorageDeleted"]
    catalogue = Catalogue(
        {
            **Catalogue.builtin(),
            "acme.own": type(own)("acme.own", "billing", "pay", "", Severity.CRITICAL, False),
        }
    )
    table = {**_TABLE, "filter": {"categories": ["billing"], "minimum_severity": "high"}}
    (destination,) = load_destinations({"soc": table}, _ENVIRON, catalogue)
    assert destination.settings.filter is not None
    wanted = compile_filter(destination.settings.filter, catalogue, raw=True, path="x")
    value = b'{"action":"acme.own"}'
    assert wanted(Event(value, orjson.loads(value), 0))
    with pytest.raises(SettingsError, match=r"filter\.categories"):
        load_destinations({"soc": table}, _ENVIRON)


_ANYTHING = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.text(max_size=3),
    st.lists(st.sampled_from(["a", "b", "failure"]), max_size=2),
    st.dictionaries(st.sampled_from(["id", "code"]), st.sampled_from(["a", "b", 1, None])),
)


def _field(*good: Any) -> st.SearchStrategy[Any]:
    return st.one_of(st.sampled_from(good), _ANYTHING)


_EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "account": st.one_of(st.fixed_dictionaries({"id": _field("a", "b", "c")}), _ANYTHING),
        "action": _field(*_ACTIONS),
        "category": _field("storage", "user", "other", "sso"),
        "outcome": _field("success", "failure", "unknown"),
        "error": st.one_of(st.fixed_dictionaries({"code": st.just("E1")}), _ANYTHING),
    },
)
_SOME = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True)
_FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "accounts": _SOME,
        "exclude_accounts": _SOME,
        "actions": st.lists(st.sampled_from(_ACTIONS), min_size=1),
        "exclude_actions": st.lists(st.sampled_from(_ACTIONS), min_size=1),
        "categories": st.lists(st.sampled_from(["storage", "other"]), min_size=1),
        "exclude_categories": st.lists(st.sampled_from(["storage", "other"]), min_size=1),
        "outcome": st.lists(st.sampled_from(["success", "failure", "unknown"]), min_size=1),
        "minimum_severity": st.sampled_from([str(s) for s in Severity]),
    },
).filter(bool)


def _reference(event: dict[str, Any], filter_: dict[str, Any], *, raw: bool) -> bool:
    """What the page says, written out without regard to speed."""
    account = event["account"].get("id") if isinstance(event.get("account"), dict) else None
    action = event.get("action")
    if isinstance(action, str) and action:
        known = Catalogue.builtin().get(action)
        rank = known.severity.rank if known else Severity.LOW.rank
        by_catalogue = known.category if known else "other"
    else:
        action, rank, by_catalogue = None, -1, None
    category = by_catalogue if raw else event.get("category")
    outcome = event.get("outcome")
    if outcome is None:
        error = event.get("error")
        outcome = "success" if error is None else "failure" if type(error) is dict else None
    values = {"accounts": account, "actions": action, "categories": category}
    for key, value in values.items():
        is_text = isinstance(value, str) and value != ""
        if key in filter_ and not (is_text and value in filter_[key]):
            return False
        unwanted = filter_.get(f"exclude_{key}")
        if unwanted is not None and (not is_text or value in unwanted):
            return False
    if "outcome" in filter_ and not (isinstance(outcome, str) and outcome in filter_["outcome"]):
        return False
    least = filter_.get("minimum_severity")
    return least is None or rank >= Severity(least).rank


@given(_EVENTS, _FILTERS, st.booleans())
def test_a_filter_agrees_with_a_plain_reference(
    event: dict[str, Any], filter_: dict[str, Any], raw: bool
) -> None:
    sent = _filtered(event, filter_, raw=raw)
    expected = _reference(event, filter_, raw=raw)
    action = event.get("action")
    if isinstance(action, str) and action not in _ACTIONS:
        assert not sent or expected  # an action that is no action cannot be judged
    else:
        assert sent == expected


@pytest.mark.parametrize("key", ["accounts", "exclude_accounts"])
def test_an_event_without_an_account_passes_no_filter_on_accounts(key: str) -> None:
    for event in ({}, {"account": None}, {"account": {}}, {"account": {"id": 7}}, {"account": "a"}):
        assert not _filtered(event, {key: ["acme"]})


def test_on_the_raw_topic_a_clients_category_is_not_believed() -> None:
    forged = {"action": "StorageDeleted", "category": "other"}
    assert _filtered(forged, {"categories": ["other"]})
    assert not _filtered(forged, {"categories": ["other"]}, raw=True)
    assert _filtered(forged, {"categories": ["storage"]}, raw=True)


def test_a_repeated_key_cannot_smuggle_an_event_past_the_filter() -> None:
    forged = b'{"account":{"id":"secret"},"account":{"id":"acme"}}'
    with pytest.raises(Unencodable, match="repeated"):
        _filtered(forged, {"accounts": ["acme"]}, raw=True)
