"""The page `/retention` as a browser uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from starlette.testclient import TestClient

from auditbus.console.retention import days_of, list_holds, waiting_changes
from auditbus.producers.testing import RecordingProducer
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, browser, console_app, program
from tests.store import days_ago, encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(store: Client, unique_prefix: str) -> str:
    """An account whose id is markup, with one event each of 1 and 50 days ago."""
    name = f"{unique_prefix}<b>a&b</b>"
    ages = [days_ago(days) for days in (1, 50)]
    events = [enriched_event(name, received_at=when, occurred_at=when) for when in ages]
    Writer(store).insert([encode(event) for event in events], name)
    return name


@pytest.fixture
def producer() -> RecordingProducer:
    return RecordingProducer()


@pytest.fixture
def administrator(store: Client, producer: RecordingProducer) -> Iterator[TestClient]:
    with browser(console_app(store, producer)) as client:
        client.post("/sign-in", data={"token": ADMINISTRATOR})
        producer.clear()
        yield client


def test_a_shorter_period_is_shown_confirmed_and_cancelled(
    store: Client, administrator: TestClient, producer: RecordingProducer, account: str
) -> None:
    asked = {"account": account, "days": "30"}
    shown = administrator.post("/retention/period", data=asked)
    assert shown.status_code == 200
    assert "Delete 1 events of" in shown.text
    assert 'name="confirm" value="1"' in shown.text
    assert "<b>a&b" not in shown.text
    assert [item for item in waiting_changes(store) if item.account == account] == []
    stale = administrator.post("/retention/period", data={**asked, "confirm": "0"})
    assert (stale.status_code, 'name="confirm" value="1"' in stale.text) == (409, True)
    done = administrator.post("/retention/period", data={**asked, "confirm": "1"})
    assert (done.status_code, done.headers["location"]) == (303, "/retention")
    assert account in {item.account for item in waiting_changes(store)}
    page = administrator.get("/retention")
    assert page.status_code == 200
    assert "Cancel the change of" in page.text
    assert "<b>a&b" not in page.text
    assert "style=" not in page.text
    assert administrator.post("/retention/cancel", data={"account": account}).status_code == 303
    assert account not in {item.account for item in waiting_changes(store)}
    longer = administrator.post("/retention/period", data={"account": account, "days": "365"})
    assert (longer.status_code, days_of(store, account)) == (303, 365)
    assert {event["action"] for event in producer.events} == {"RetentionPolicyUpdated"}
    assert len(producer.events) == 3


def test_a_hold_is_set_and_released(
    store: Client, administrator: TestClient, producer: RecordingProducer, account: str
) -> None:
    asked = {"account": account, "user": "u1", "since": "2026-01-01T00:00", "until": ""}
    done = administrator.post("/retention/hold", data={**asked, "reason": "case 7"})
    assert done.status_code == 303
    (hold,) = [one for one in list_holds(store) if one.account == account]
    assert (hold.user, hold.until, hold.reason) == ("u1", None, "case 7")
    assert hold.since is not None
    assert f'name="id" value="{hold.id}"' in administrator.get("/retention").text
    assert administrator.post("/retention/release", data={"id": hold.id}).status_code == 303
    assert [one for one in list_holds(store) if one.account == account] == []
    assert f'name="id" value="{hold.id}"' not in administrator.get("/retention").text
    assert len(producer.events) == 2


@pytest.mark.parametrize(
    ("path", "form", "words"),
    [
        ("period", {"account": "", "days": "3"}, "Account: is empty"),
        ("period", {"account": "a", "days": "0"}, "Days: must be 1 to 36500"),
        ("period", {"account": "a", "days": "\u0663"}, "Days: is not a number"),
        ("period", {"account": "a", "days": "3", "confirm": "all"}, "Confirmed: is not"),
        ("hold", {"reason": "x"}, "name an account"),
        ("hold", {"account": "a"}, "Reason: is empty"),
        ("hold", {"account": "a\u202eb", "reason": "x"}, "printable"),
        ("hold", {"since": "soon", "reason": "x"}, "From: is no date"),
    ],
)
def test_what_is_wrong_is_said(
    administrator: TestClient,
    producer: RecordingProducer,
    path: str,
    form: dict[str, str],
    words: str,
) -> None:
    answer = administrator.post(f"/retention/{path}", data=form)
    assert (answer.status_code, words in answer.text) == (400, True)
    assert producer.events == []


def test_only_administrators_see_it_and_its_link(store: Client, account: str) -> None:
    app = console_app(store)
    with program(app) as administrator:
        asked = {"name": "auditor", "role": "auditor", "accounts": [account]}
        token = administrator.post("/api/v1/tokens", json=asked).json()["token"]
        assert 'href="/retention"' in administrator.get("/?since=30d").text
    auditor = program(app, token)
    assert auditor.get("/retention").status_code == 403
    assert auditor.post("/retention/hold", data={"account": account}).status_code == 403
    assert 'href="/retention"' not in auditor.get("/?since=30d").text
    stranger = browser(app)
    assert stranger.get("/retention").headers["location"] == "/sign-in?next=%2Fretention"
    foreign = browser(app, "http://127.0.0.1:8080")
    foreign.headers["origin"] = "https://evil.example"
    assert foreign.post("/retention/hold", data={"account": account}).status_code == 403
