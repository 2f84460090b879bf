"""The reading API on the real engine: filters, pages, one event, numbers, limits, errors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from auditbus.console.query import EventFilter, event_predicate
from auditbus.console.query.selection import select
from auditbus.console.web.problems import PROBLEM_JSON
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.store import encode, enriched_event, migrated_client, rfc3339

_NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def put(store: Client, *events: dict[str, Any]) -> None:
    Writer(store).insert([encode(event) for event in events], f"test:{events[0]['id']}:{uuid7()}")


def at(hours_ago: float) -> str:
    return rfc3339(_NOW - timedelta(hours=hours_ago))


@pytest.fixture(scope="module")
def api(store: Client) -> TestClient:
    return program(console_app(store, requests_per_s=10_000))


def ids(api: TestClient, **parameters: Any) -> list[str]:
    answer = api.get("/api/v1/events", params=parameters)
    assert answer.status_code == 200, answer.text
    return [event["id"] for event in answer.json()["events"]]


@pytest.fixture(scope="module")
def known(store: Client) -> dict[str, str]:
    """Events of one account, by what is special about each."""
    account = f"api-{uuid7()}"
    made = {
        "plain": enriched_event(account, occurred_at=at(1)),
        "v6": enriched_event(account, occurred_at=at(2), context={"ip": "2001:DB8:0:0::5"}),
        "failed": enriched_event(
            account,
            occurred_at=at(3),
            error={"code": "E42", "message": "Quota exceeded by Größe"},
            description="tried repo-12 twice",
        ),
        "other": enriched_event(
            account,
            occurred_at=at(30 * 24),
            action="Login",
            category="session",
            actor={"type": "user", "id": "u9", "name": "Inés Ñandú", "email": "ines@example.com"},
            targets=[
                {"type": "storage", "id": "s10", "name": "main backups"},
                {"type": "user", "id": "c0ffee00-0000-4000-8000-00000000beef"},
            ],
            context={"ip": "203.0.113.7"},
            description="blocked 198.51.100.23, 東京",
        ),
    }
    put(store, *made.values())
    return {"account": account} | {name: event["id"] for name, event in made.items()}


_FOUND: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["plain", "v6", "failed", "other"]),
    ({"since": "1d"}, ["plain", "v6", "failed"]),
    ({"until": at(24)}, ["other"]),
    ({"user": "INES@example.com"}, ["other"]),
    ({"action": ["Login", "Nothing"]}, ["other"]),
    ({"category": "session"}, ["other"]),
    ({"outcome": "failure"}, ["failed"]),
    ({"error": "E42"}, ["failed"]),
    ({"error": "quota exc"}, ["failed"]),
    ({"error": "E4"}, []),
    ({"target": "s10"}, ["other"]),
    ({"target": "main backups"}, ["other"]),
    ({"target": "s1"}, ["plain", "v6", "failed"]),
    ({"target": ["s10", "s1"]}, ["plain", "v6", "failed", "other"]),
    ({"ip": "2001:db8::/32"}, ["v6"]),
    ({"ip": "81.2.69.0/24"}, ["plain", "failed"]),
    ({"country": "gb", "device": "CURL"}, ["plain", "v6", "failed", "other"]),
    ({"text": "quota größe"}, ["failed"]),
    ({"text": "QUOTA GRÖSSE"}, []),
    ({"text": '"exceeded by"'}, ["failed"]),
    ({"text": '"by exceeded"'}, []),
    ({"text": "repo-12"}, ["failed"]),
    ({"text": "repo-1"}, []),
    ({"text": "repo-1*"}, ["failed"]),
    ({"text": "ines@example.com"}, ["other"]),
    ({"text": "nes@example.com"}, []),
    ({"text": "ines@exa*"}, ["other"]),
    ({"text": "ñandú"}, ["other"]),
    ({"text": "東京"}, ["other"]),
    ({"text": "東*"}, ["other"]),
    ({"text": "2001:db8::5"}, ["v6"]),
    ({"text": "81.2.69.142"}, ["plain", "failed"]),
    ({"text": "81.2.69.14"}, []),
    ({"text": "81.2.69.128/25"}, ["plain", "failed"]),
    ({"text": "198.51.100.23"}, ["other"]),
    ({"text": "C0FFEE00-0000-4000-8000-00000000BEEF"}, ["other"]),
    ({"text": "quota nothing"}, []),
]


@pytest.mark.parametrize(
    ("asked", "found"),
    _FOUND,
    # No values: a time among them would be another in each process of the tests.
    ids=[f"{number} {' '.join(asked)}" for number, (asked, _) in enumerate(_FOUND)],
)
def test_a_filter_finds_what_it_says(
    api: TestClient, known: dict[str, str], asked: dict[str, Any], found: list[str]
) -> None:
    assert ids(api, account=known["account"], **asked) == [known[name] for name in found]


def test_the_text_finds_an_event_by_its_id(api: TestClient, known: dict[str, str]) -> None:
    assert ids(api, text=known["failed"]) == [known["failed"]]
    assert ids(api, id=known["failed"]) == [known["failed"]]


@pytest.mark.parametrize(
    ("query", "status", "field"),
    [
        ("acount=a", 400, "acount"),
        ("since=2h&since=3h", 400, "since"),
        ("text=%20-%20", 400, "text"),
        ("text=", 400, "text"),
        ("since=yesterday", 400, "since"),
        ("since=1h&until=2h", 400, "until"),
        ("ip=300.1.1.1", 400, "ip"),
        ("outcome=maybe", 422, "outcome.0"),
        ("limit=0", 422, "limit"),
        ("older_than=x", 400, "older_than"),
        ("fields=a..b", 400, "fields"),
        ("id=7", 422, "id.0"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(
    api: TestClient, query: str, status: int, field: str
) -> None:
    answer = api.get(f"/api/v1/events?{query}")
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
    assert answer.headers["content-type"] == PROBLEM_JSON


def test_a_mistyped_filter_names_the_nearest(api: TestClient) -> None:
    assert "did you mean account?" in api.get("/api/v1/events?acount=a").json()["detail"]


@pytest.mark.parametrize("name", ["nope", "cursor", "copy", "page", "search"])
def test_an_unknown_filter_that_is_near_to_none_suggests_none(api: TestClient, name: str) -> None:
    assert api.get(f"/api/v1/events?{name}=a").json()["detail"] == f"{name}: no such parameter"


def test_every_error_is_a_problem(api: TestClient) -> None:
    for answer, status in (
        (api.get("/api/v1/nothing"), 404),
        (api.post("/api/v1/events"), 405),
        (api.get(f"/api/v1/events/{uuid7()}"), 404),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM_JSON)
        assert answer.json()["status"] == status


def test_fields_are_selected_by_their_paths(api: TestClient, known: dict[str, str]) -> None:
    asked = {"account": known["account"], "limit": 1, "fields": ["id,actor.email", "targets.id"]}
    (event,) = api.get("/api/v1/events", params=asked).json()["events"]
    assert event == {
        "id": known["plain"],
        "actor": {"email": "ann@example.org"},
        "targets": [{"id": "s1"}],
    }
    one = api.get(f"/api/v1/events/{known['plain']}", params={"fields": "action"})
    assert one.json() == {"action": "StorageDeleted"}


def test_pages_neither_repeat_nor_miss_while_events_arrive(
    store: Client, api: TestClient, unique_prefix: str
) -> None:
    account = f"{unique_prefix}pages"
    # Of equal times, spread over windows and months.
    hours = [*[2] * 7, *[30] * 7, *[24 * 40] * 7, *[24 * 130] * 7]
    there = [enriched_event(account, occurred_at=at(hour)) for hour in hours]
    put(store, *there)
    down: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/api/v1/events", params={"account": account, "limit": 3, **cursor}).json()
        down += [event["id"] for event in page["events"]]
        put(store, enriched_event(account, occurred_at=at(1)))  # newer than every page
        if page["older"] is None:
            break
        cursor = {"older_than": page["older"]}
    times = {event["id"]: event["occurred_at"] for event in there}
    assert sorted(down) == sorted(times)
    assert [times[id_] for id_ in down] == sorted(times.values(), reverse=True)
    last = page["events"][-1]
    up = [last["id"]]
    cursor = {"newer_than": f"{last['occurred_at']}_{last['id']}"}
    while True:
        page = api.get("/api/v1/events", params={"account": account, "limit": 4, **cursor}).json()
        up += [event["id"] for event in reversed(page["events"])]
        if page["newer"] is None:
            break
        cursor = {"newer_than": page["newer"]}
    assert up[: len(down)] == down[::-1]
    assert len(up) == len(set(up)) > len(down)


def test_of_copies_the_first_received_counts(
    store: Client, api: TestClient, unique_prefix: str
) -> None:
    account = f"{unique_prefix}copies"
    first = enriched_event(account, occurred_at=at(5), received_at=at(5), action="Login")
    other = enriched_event(account, occurred_at=at(6), received_at=at(6), action="Login")
    put(store, first, other)
    put(store, {**first, "received_at": at(4), "action": "Logout"})
    assert ids(api, account=account, action="Logout") == []
    assert ids(api, account=account, limit=1) == [first["id"]]
    assert ids(api, account=account) == [first["id"], other["id"]]
    for _ in range(3):  # copies alone would fill the page
        put(store, first)
    assert ids(api, account=account, limit=2) == [first["id"], other["id"]]


@pytest.fixture(scope="module")
def somebody(store: Client, known: dict[str, str]) -> TestClient:
    """A token that may see one other account only."""
    app = console_app(store, requests_per_s=10_000)
    made = program(app).post(
        "/api/v1/tokens", json={"name": "t", "accounts": ["api-other"], "expires_in_days": 1}
    )
    return program(app, made.json()["token"])


def test_another_tenant_sees_nothing_anywhere(somebody: TestClient, known: dict[str, str]) -> None:
    assert ids(somebody, account=known["account"]) == []
    assert ids(somebody, id=known["plain"], text=known["plain"]) == []
    hidden = somebody.get(f"/api/v1/events/{known['plain']}")
    missing = somebody.get(f"/api/v1/events/{uuid7()}")
    assert (hidden.status_code, hidden.json()) == (404, missing.json())
    numbers = somebody.get("/api/v1/stats", params={"account": known["account"]}).json()
    assert numbers["count"] == 0
    assert known["account"] not in str(somebody.get("/api/v1/stats").json()["facets"])


def test_numbers_fill_empty_buckets_and_count_a_facet_without_its_own_filter(
    api: TestClient, known: dict[str, str]
) -> None:
    asked = {"account": known["account"], "since": at(48), "step_s": 3600, "outcome": "failure"}
    numbers = api.get("/api/v1/stats", params=asked).json()
    assert (numbers["count"], numbers["failures"], numbers["step_s"]) == (1, 1, 3600)
    starts = [datetime.fromisoformat(bucket["start"]) for bucket in numbers["histogram"]]
    assert {b - a for a, b in itertools.pairwise(starts)} == {timedelta(hours=1)}
    assert sum(bucket["count"] for bucket in numbers["histogram"]) == 1
    outcomes = {one["value"]: one["count"] for one in numbers["facets"]["outcome"]}
    assert outcomes == {"success": 2, "failure": 1}
    assert [one["count"] for one in numbers["facets"]["action"]] == [1]
    alone = api.get("/api/v1/stats", params={**asked, "facet": "device"}).json()
    assert list(alone["facets"]) == ["device"]


def test_numbers_of_nothing_are_none(api: TestClient) -> None:
    numbers = api.get("/api/v1/stats", params={"account": "no such account"}).json()
    assert (numbers["count"], numbers["since"], numbers["histogram"]) == (0, None, [])


def test_the_catalogue_is_listed(api: TestClient) -> None:
    actions = {one["name"]: one for one in api.get("/api/v1/actions").json()["actions"]}
    assert actions["StorageDeleted"]["category"] == "storage"


def test_who_asks_too_often_waits(store: Client) -> None:
    asking = program(console_app(store, requests_per_s=2))
    answers = [asking.get("/api/v1/actions") for _ in range(8)]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(refused) >= 2
    assert int(refused[0].headers["retry-after"]) >= 1
    assert refused[0].headers["content-type"] == PROBLEM_JSON


def test_a_slow_search_is_cut_off_with_advice(store: Client, known: dict[str, str]) -> None:
    slow = program(console_app(store, query_timeout_s=0.000001))
    answer = slow.get("/api/v1/stats")
    assert answer.status_code == 503
    assert "narrow the time range" in answer.json()["detail"]


def test_completeness_is_not_promised_where_kafka_does_not_answer(api: TestClient) -> None:
    page = api.get("/api/v1/events", params={"limit": 1}).json()
    assert page["complete_up_to"] is None
    assert page["incomplete_reason"]


_WORDS = st.sampled_from(
    ["quota", "QUOTA", "repo-12", "repo-1*", '"exceeded by"', "größe", "Ñandú", "東京", "東*",
     "81.2.69.142", "81.2.69.0/24", "2001:db8::5", "ines@example.com", "(storage)", "a", "E42"]
)  # fmt: skip


@given(st.lists(_WORDS, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_a_row_is_judged_as_the_index_finds_it(
    store: Client, known: dict[str, str], words: list[str]
) -> None:
    wanted = EventFilter(accounts=(known["account"],), text=" ".join(words))
    rows = select(store, "id FROM audit.log", event_predicate(wanted))
    judged = event_predicate(wanted, of_row=True)
    flags = select(
        store,
        f"id, toUInt8({judged.sql}) FROM audit.log",
        event_predicate(EventFilter()),
        "",
        judged.parameters,
    )
    assert {row[0] for row in rows} == {id_ for id_, holds in flags if holds}
