"""A log with known answers: for each question of docs/cookbook.md, events that answer it.

Each question has an account of its own, so that no answer depends on another's events; `ROWS` says
what its query must find there, as a part of each row's columns, in order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from auditbus.schemas.ids import uuid7
from tests.store import enriched_event, rfc3339

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
Rows = Sequence[Mapping[str, Any]]

_BERLIN = {"country": "Germany", "country_code": "DE", "label": "Berlin, Germany",
           "latitude": 52.5, "longitude": 13.4}  # fmt: skip
_LIMA = {"country": "Peru", "country_code": "PE", "label": "Lima, Peru",
         "latitude": -12.0, "longitude": -77.0}  # fmt: skip
_POTSDAM = {**_BERLIN, "label": "Potsdam, Germany", "latitude": 52.4, "longitude": 13.1}
_LAPTOP, _PHONE = {"label": "Firefox 136 on macOS"}, {"label": "Safari on iPhone"}


@dataclass(frozen=True, slots=True)
class Planted:
    """Events of `account`, and the rows that the query must find of it."""

    account: str
    events: Sequence[dict[str, Any]]
    rows: Rows


class _Log:
    """Makes events of one account, so long before `now`."""

    def __init__(self, account: str, now: datetime) -> None:
        self.account, self.now = account, now
        self.events: list[dict[str, Any]] = []

    def add(self, ago: timedelta, actor: str = "ann", /, **fields: Any) -> None:
        when = rfc3339(self.now - ago)
        who = {"type": "user", "id": actor, "name": actor.title(), "email": f"{actor}@x.example"}
        made = {
            "id": uuid7(), "occurred_at": when, "received_at": when, "outcome": "success",
            "action": "StorageUpdated", "category": "other", "operation": "update",
        }  # fmt: skip
        actor_fields = fields.pop("actor", {})
        self.events.append(
            enriched_event(self.account, **{**made, "actor": who | actor_fields, **fields})
        )

    def login(self, ago: timedelta, actor: str, *, works: bool, **fields: Any) -> None:
        outcome = "success" if works else "failure"
        self.add(ago, actor, action="Login", operation="login", outcome=outcome, **fields)

    def found(self, *rows: Mapping[str, Any]) -> Planted:
        return Planted(self.account, self.events, rows)


def _deleted(log: _Log) -> Planted:
    for ago, actor, outcome in ((1, "ann", "success"), (2, "bob", "failure"), (9, "cy", "unknown")):
        log.add(ago * DAY, actor, action="BackupDeleted", operation="delete", outcome=outcome)
    log.add(31 * DAY, action="BackupDeleted", operation="delete")
    log.add(1 * DAY, action="BackupTriggered", operation="start")
    deleted = {"action": "BackupDeleted", "targets": "storage backups s1"}
    return log.found({"actor_id": "ann", **deleted}, {"actor_id": "cy", **deleted})


def _touched(log: _Log) -> Planted:
    first, second = {"type": "db", "id": "db-7"}, {"type": "db", "id": "db-70"}
    log.add(3 * DAY, "ann", targets=[first])
    log.add(2 * DAY, "bob", targets=[second, first], outcome="failure")
    log.add(1 * DAY, "cy", targets=[second], description="db-7", metadata={"id": "db-7"})
    return log.found(
        {"actor_id": "ann", "outcome": "success"}, {"actor_id": "bob", "outcome": "failure"}
    )


def _in_the_name_of(log: _Log) -> Planted:
    for ago in (1, 2):
        log.add(ago * DAY, "support-3", actor={"on_behalf_of": {"type": "user", "id": "ann"}})
    log.add(1 * DAY, "ann")
    acted = {"on_behalf_of": "ann", "actor_id": "support-3", "events": 2}
    return log.found({**acted, "actions": ["StorageUpdated"]})


def _dormant_accounts(log: _Log) -> Planted:
    log.add(45 * DAY)
    log.add(50 * DAY)
    return log.found({"days_ago": 45})


def _unseen_people(log: _Log) -> Planted:
    log.add(70 * DAY, "ann")
    log.add(100 * DAY, "ann")
    log.add(90 * DAY, "bob")
    log.add(1 * DAY, "bob")
    log.add(80 * DAY, "robot", actor={"type": "service"})
    return log.found({"actor_id": "ann", "email": "ann@x.example"})


def _bursts(log: _Log) -> Planted:
    # Over the edge of a clock's ten minutes, and two failures too far away to belong to it.
    for minutes in (600, 508, 506, 504, 502, 500, 499, 480):
        log.login(minutes * MINUTE, "ann", works=False)
    for minutes in range(0, 100, 20):
        log.login((minutes + 5) * MINUTE, "bob", works=False)
    for minutes in range(1, 7):
        log.login(minutes * MINUTE, "cy", works=True)
    return log.found({"actor_id": "ann", "most_in_ten_minutes": 6})


def _guessed(log: _Log) -> Planted:
    for minutes in (60, 55, 50, 45):
        log.login(minutes * MINUTE, "ann", works=False)
    log.login(40 * MINUTE, "ann", works=True, context={"ip": "203.0.113.9"})
    log.login(5 * MINUTE, "ann", works=True)
    for minutes in (30, 20):
        log.login(minutes * MINUTE, "bob", works=False)
    log.login(10 * MINUTE, "bob", works=True)
    return log.found({"actor_id": "ann", "ip_text": "203.0.113.9", "failures": 4})


def _sprayed(log: _Log) -> Planted:
    for number in range(6):
        log.login(HOUR, f"user-{number}", works=False, context={"ip": "203.0.113.66"})
        log.login(HOUR, f"user-{number}", works=True, context={"ip": "203.0.113.67"})
        log.login(HOUR, "ann", works=False, context={"ip": "203.0.113.68"})
    return log.found({"ip_text": "203.0.113.66", "people": 6, "failures": 6})


def _first_countries(log: _Log) -> Planted:
    for ago, actor, location in (
        (40, "ann", _BERLIN), (3, "ann", _LIMA), (2, "ann", _LIMA),  # new in Peru
        (40, "bob", _LIMA), (2, "bob", _LIMA),  # known there
        (1, "cy", _BERLIN),  # new altogether
    ):  # fmt: skip
        log.add(ago * DAY, actor, location=location)
    return log.found({"actor_id": "ann", "country": "Peru"})


def _new_devices(log: _Log) -> Planted:
    for ago, actor, device in (
        (40, "ann", _LAPTOP), (1, "ann", _PHONE), (40, "bob", _PHONE), (1, "bob", _PHONE),
    ):  # fmt: skip
        log.add(ago * DAY, actor, device=device, location=_LIMA)
    return log.found(
        {"actor_id": "ann", "device": "Safari on iPhone", "seen_in": "Lima, Peru"},
    )


def _travel(log: _Log) -> Planted:
    log.add(5 * HOUR, "ann", location=_BERLIN)
    log.add(3 * HOUR, "ann", location=_LIMA)  # 11,000 km in two hours
    log.add(5 * HOUR, "bob", location=_BERLIN)
    log.add(5 * HOUR - MINUTE, "bob", location=_POTSDAM)  # fast, but only another tower
    log.add(90 * HOUR, "cy", location=_BERLIN)
    log.add(2 * HOUR, "cy", location=_LIMA)  # flew
    log.add(1 * HOUR, "cy", location={"country": "", "label": ""})  # an unknown place is none
    return log.found(
        {"actor_id": "ann", "location_before": "Berlin, Germany", "location": "Lima, Peru",
         "km": pytest.approx(11_090, rel=0.005), "hours": 2.0},  # by haversine
    )  # fmt: skip


def _off_hours(log: _Log) -> Planted:
    wednesday = log.now - ((log.now.weekday() - 2) % 7 or 7) * DAY
    night, noon = (wednesday.replace(hour=hour, minute=12) for hour in (1, 12))
    saturday = noon - 4 * DAY
    for when, actor in ((night, "ann"), (saturday, "ann"), (noon, "bob"), (noon, "ann")):
        log.add(log.now - when, actor)
    log.add(log.now - night, "robot", actor={"type": "service"})
    return log.found({"actor_id": "ann", "events": 2, "actions": ["StorageUpdated"]})


def _volumes(log: _Log) -> Planted:
    # Many, as the query shows the hundred busiest accounts.
    for ago in (1, 1, 2, 5, 40):
        for _ in range(25):
            log.add(ago * DAY, outcome="failure" if ago == 5 else "success")
    return log.found({"total": 100, "failures": 25})


def _busy_days(log: _Log) -> Planted:
    for ago in range(1, 15):
        for _ in range(25 if ago == 4 else 2):
            log.add(ago * DAY)
    return log.found({"total": 25, "usual": 2.0, "day": (log.now - 4 * DAY).date()})


def _rights(log: _Log) -> Planted:
    role = {"field": "role", "before": "member", "after": "owner"}
    other = {"field": "theme", "before": "light", "after": "dark"}
    log.add(1 * DAY, "ann", action="MemberUpdated", changes=[other, role])
    log.add(2 * DAY, "bob", action="InstallationNewPermissionsAccepted", operation="grant")
    log.add(3 * DAY, "cy", changes=[other], description="role")
    return log.found(
        {"actor_id": "ann", "changed": ['role: "member" -> "owner"']},
        {"actor_id": "bob", "changed": []},
    )


def _api_keys(log: _Log) -> Planted:
    for ago, key, ip, country in (
        (1, "k-1", "203.0.113.1", "DE"), (2, "k-1", "203.0.113.2", "PE"),
        (3, "k-1", "203.0.113.1", "DE"), (4, "k-2", "203.0.113.3", "DE"),
    ):  # fmt: skip
        log.add(
            ago * DAY,
            "ann",
            actor={"credential": {"type": "api_token", "id": key}},
            context={"ip": ip},
            location={"country_code": country},
        )
    log.add(1 * DAY, "ann", actor={"credential": {"type": "password", "id": "k-3"}})
    return log.found(
        {"api_key": "k-1", "owner": "ann", "uses": 3, "addresses": 2, "countries": ["DE", "PE"]},
        {"api_key": "k-2", "owner": "ann", "uses": 1, "addresses": 1, "countries": ["DE"]},
    )


def _failing(log: _Log) -> Planted:
    for ago, action, code in (
        (1, "BackupCompleted", "clone_failed"), (2, "BackupCompleted", "clone_failed"),
        (3, "BackupCompleted", "access_denied"), (4, "BackupCompleted", ""),
        (1, "Login", "mfa_failed"), (2, "Login", ""), (3, "Logout", ""),
    ):  # fmt: skip
        failed = {"outcome": "failure", "error": {"code": code}} if code else {}
        log.add(ago * DAY, action=action, **failed)
    return log.found(
        {
            "action": "BackupCompleted",
            "failures": 3,
            "percent": 75.0,
            "usual_error": "clone_failed",
        },
        {"action": "Login", "failures": 1, "percent": 50.0, "usual_error": "mfa_failed"},
    )


def _exported(log: _Log) -> Planted:
    exported = {"action": "AuditLogExported", "operation": "export"}
    log.add(
        DAY, "ann", **exported, metadata={"export": {"format": "csv", "rows": 41}},
        targets=[{"type": "audit_log_export", "id": "e-1", "name": "november.csv"}],
    )  # fmt: skip
    log.add(DAY, "bob", **exported, outcome="failure")
    return log.found({"actor_id": "ann", "export": "e-1", "format": "csv", "rows": 41})


def _kept(log: _Log) -> Planted:
    changed = {"action": "RetentionPolicyUpdated", "targets": [{"type": "retention", "id": "acme"}]}
    days = {"field": "days", "before": 180, "after": 30}
    held = {"field": "held", "before": False, "after": True}
    log.add(1 * DAY, "ann", **changed, changes=[days], description="Set the retention of acme")
    log.add(2 * DAY, "bob", **changed, changes=[held], description="Set a legal hold")
    return log.found(
        {"actor_id": "ann", "changed": ["days: 180 -> 30"]},
        {"actor_id": "bob", "changed": ["held: false -> true"]},
    )


def _lost(log: _Log) -> Planted:
    for instance, numbers in (("one", (1, 2, 3)), ("two", (7, 8, 11, 11, 12))):
        for seq in numbers:
            stamp = {"service": log.account, "instance": instance, "epoch": 5, "seq": seq}
            log.add(HOUR, producer=stamp)
    return log.found({"producer_instance": "two", "producer_epoch": "5", "missing": 2})


_QUESTIONS = {
    "Who deleted what?": _deleted,
    "Who touched this thing?": _touched,
    "Who acted in somebody else's name?": _in_the_name_of,
    "Which accounts are dormant?": _dormant_accounts,
    "Which people have not been seen for 60 days?": _unseen_people,
    "Where do sign-ins fail in bursts?": _bursts,
    "Was a password guessed?": _guessed,
    "Which address tries many people?": _sprayed,
    "From which countries is somebody seen for the first time?": _first_countries,
    "Who has a new device?": _new_devices,
    "Who travels faster than an aeroplane?": _travel,
    "Who works outside working hours?": _off_hours,
    "How much does each account do?": _volumes,
    "On which days was an account far busier than usual?": _busy_days,
    "Which rights changed?": _rights,
    "Which API keys are used, and from where?": _api_keys,
    "Which actions fail most?": _failing,
    "Who exported the log?": _exported,
    "Who changed how long events are kept, or a legal hold?": _kept,
    "Have events been lost on the way?": _lost,
}


def planted(now: datetime) -> dict[str, Planted]:
    """Return what is planted for each question; `now` should not be just after midnight UTC."""
    return {
        question: plant(_Log(f"planted-{number:02}", now.astimezone(UTC)))
        for number, (question, plant) in enumerate(_QUESTIONS.items(), 1)
    }
