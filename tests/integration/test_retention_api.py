"""`/api/v1/retention` and `/api/v1/holds` on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.access import Recorder
from auditbus.console.retention import Keeper, days_of
from auditbus.console.web.retention_record import keepers_record
from auditbus.producers.testing import RecordingProducer
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.pipeline import wait_until
from tests.store import days_ago, encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(store: Client, unique_prefix: str) -> str:
    """An account, whose id no path would hold, with one event each of 1, 50 and 100 days ago."""
    name = f"{unique_prefix}a/b c"
    ages = [days_ago(days) for days in (1, 50, 100)]
    events = [enriched_event(name, received_at=when, occurred_at=when) for when in ages]
    Writer(store).insert([encode(event) for event in events], name)
    return name


def _of(account: str, listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in listed if item["account"] == account]


def test_periods_are_previewed_confirmed_waited_for_and_cancelled(
    store: Client, account: str
) -> None:
    producer = RecordingProducer()
    with program(console_app(store, producer)) as administrator:
        asked = {"account": account, "days": 30}
        seen = administrator.get("/api/v1/retention/preview", params=asked).json()
        assert (seen["days_before"], seen["events"]) == (180, 2)
        refused = administrator.post("/api/v1/retention", json={**asked, "confirm": 1})
        assert (refused.status_code, refused.json()["field"]) == (409, "confirm")
        assert "2 events" in refused.json()["detail"]
        done = administrator.post("/api/v1/retention", json={**asked, "confirm": seen["events"]})
        assert done.status_code == 200, done.text
        due = datetime.fromisoformat(done.json()["at"]) - datetime.now(UTC)
        assert timedelta(hours=23.9) < due <= timedelta(hours=24)
        listed = administrator.get("/api/v1/retention").json()
        assert (listed["default_days"], listed["grace_hours"]) == (180, 24)
        (waiting,) = _of(account, listed["waiting"])
        assert (waiting["days"], waiting["asked_by"]) == (30, "token:administrator")
        path = f"/api/v1/retention/waiting/{account.replace('/', '%2F')}"
        assert administrator.delete(path).status_code == 204
        assert administrator.delete(path).status_code == 404
        longer = administrator.post("/api/v1/retention", json={"account": account, "days": 365})
        assert longer.status_code == 200
        listed = administrator.get("/api/v1/retention").json()
        assert [item["days"] for item in _of(account, listed["accounts"])] == [365]
        assert _of(account, listed["waiting"]) == []
        soon = {"days": 400, "by": "week", "account": account}
        found = administrator.get("/api/v1/retention/forecast", params=soon).json()["expiring"]
        assert sum(item["events"] for item in found) == 3
    producer.assert_recorded(
        action="RetentionPolicyUpdated",
        account={"id": "auditbus"},
        actor={"id": "token:administrator"},
        targets=[{"type": "retention", "id": account}],
        changes=[{"field": "days", "before": 180, "after": 365}],
    )
    assert len(producer.events) == 3


def test_the_keeper_lets_a_change_take_effect(store: Client, account: str) -> None:
    producer = RecordingProducer()
    app = console_app(store, producer, retention_grace_hours=0.0000001)
    with program(app) as administrator:
        asked = {"account": account, "days": 30, "confirm": 2}
        assert administrator.post("/api/v1/retention", json=asked).status_code == 200
    assert days_of(store, account) == 180
    with Keeper(store, keepers_record(Recorder(producer))).running():
        wait_until(
            lambda: days_of(store, account) == 30, deadline_s=30, what="the change takes effect"
        )
    producer.assert_recorded(
        action="RetentionPolicyUpdated",
        actor={"type": "service"},
        targets=[{"type": "retention", "id": account}],
        metadata={"asked_by": "token:administrator"},
    )


def test_holds_are_set_listed_and_released(store: Client, account: str) -> None:
    producer = RecordingProducer()
    with program(console_app(store, producer)) as administrator:
        asked = {"account": account, "until": "2100-01-01T00:00:00+01:00", "reason": "case 7"}
        made = administrator.post("/api/v1/holds", json=asked)
        assert made.status_code == 201, made.text
        id_ = made.json()["id"]
        (hold,) = _of(account, administrator.get("/api/v1/holds").json()["holds"])
        assert (hold["id"], hold["reason"], hold["set_by"]) == (
            id_,
            "case 7",
            "token:administrator",
        )
        assert (hold["until"], hold["released_at"]) == ("2099-12-31T23:00:00Z", None)
        asked_for = {"account": account, "days": 30}
        seen = administrator.get("/api/v1/retention/preview", params=asked_for).json()
        assert seen["events"] == 0
        assert administrator.delete(f"/api/v1/holds/{id_}").status_code == 204
        assert administrator.delete(f"/api/v1/holds/{id_}").status_code == 404
        assert _of(account, administrator.get("/api/v1/holds").json()["holds"]) == []
        every = administrator.get("/api/v1/holds", params={"released": "true"}).json()["holds"]
        (hold,) = _of(account, every)
        assert hold["released_by"] == "token:administrator"
    assert [event["changes"][0]["after"] for event in producer.events] == [True, False]
    assert {event["action"] for event in producer.events} == {"RetentionPolicyUpdated"}


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("retention", {"account": "a", "days": 0}, "days"),
        ("retention", {"account": "a", "days": 36_501}, "days"),
        ("retention", {"account": "", "days": 30}, "account"),
        ("retention", {"account": "a", "days": 30, "confirm": -1}, "confirm"),
        ("holds", {"account": "a"}, "reason"),
        ("holds", {"since": "2026-01-01T00:00:00", "reason": "x"}, "since"),
        ("holds", {"reason": "x"}, None),
        ("holds", {"account": "a", "reason": " "}, None),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(
    store: Client, path: str, body: dict[str, Any], field: str | None
) -> None:
    with program(console_app(store)) as administrator:
        answer = administrator.post(f"/api/v1/{path}", json=body)
        assert (answer.status_code, answer.json().get("field")) == (422, field)


def test_only_administrators_may(store: Client, account: str) -> None:
    app = console_app(store)
    with program(app) as administrator:
        asked = {"name": "auditor", "role": "auditor", "accounts": [account]}
        token = administrator.post("/api/v1/tokens", json=asked).json()["token"]
        auditor = program(app, token)
        for path in ("retention", "retention/forecast", "holds"):
            assert auditor.get(f"/api/v1/{path}").status_code == 403
        new = {"account": account, "days": 365}
        assert auditor.post("/api/v1/retention", json=new).status_code == 403
        held = {"account": account, "reason": "x"}
        assert auditor.post("/api/v1/holds", json=held).status_code == 403
    assert days_of(store, account) == 180
