"""`auditbus retention` and `holds` as an operator types them: recorded first, then done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.retention import days_of, list_holds, waiting_changes
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, read_topic, settings_with_topics
from tests.store import days_ago, encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def environment(kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str) -> dict[str, str]:
    return environment_of(kafka.bootstrap_servers, unique_prefix, **store_environment(clickhouse))


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return settings_with_topics(environment)


@pytest.fixture
def account(client: Client, unique_prefix: str) -> str:
    """An account with one event each of 1, 50 and 100 days ago."""
    name = f"{unique_prefix}acme"
    ages = [days_ago(days) for days in (1, 50, 100)]
    events = [enriched_event(name, received_at=when, occurred_at=when) for when in ages]
    Writer(client).insert([encode(event) for event in events], name)
    return name


def _recorded(settings: Settings, count: int) -> list[dict[str, Any]]:
    topic = settings.kafka.topics.events
    messages = read_topic(settings, topic, until=lambda found: len(found) >= count)
    return [json.loads(message.value() or b"") for message in messages]


def _listed(account: str, environment: dict[str, str]) -> list[dict[str, Any]]:
    done = auditbus("retention", "list", "--format", "json", environment=environment)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return [item for item in found if item["account"] == account]


def test_a_shorter_period_asks_waits_and_is_cancelled(
    client: Client, environment: dict[str, str], settings: Settings, account: str
) -> None:
    refused = auditbus("retention", "set", account, "30", environment=environment, stdin="n\n")
    assert refused.exit_code == 1
    assert "Delete 2 events" in refused.stderr
    assert _listed(account, environment) == []
    asked = auditbus("retention", "set", account, "30", environment=environment, stdin="y\n")
    assert asked.exit_code == 0, asked.stderr
    assert "until then 180" in asked.stdout
    (item,) = _listed(account, environment)
    assert (item["days"], item["then_days"], "@" in item["asked_by"]) == (180, 30, True)
    done = auditbus("retention", "cancel", account, environment=environment)
    assert (done.exit_code, done.stdout) == (0, f"{account}: 180 days, as before\n")
    again = auditbus("retention", "cancel", account, environment=environment)
    assert (again.exit_code, again.stderr) == (1, f"{account}: no change waits\n")
    events = _recorded(settings, 2)
    assert [event["action"] for event in events] == ["RetentionPolicyUpdated"] * 2
    assert events[0]["account"]["id"] == "auditbus"
    assert events[0]["targets"] == [{"type": "retention", "id": account}]
    (change,) = events[0]["changes"]
    assert (change["field"], change["before"], change["after"]) == ("days", 180, 30)
    assert events[0]["metadata"]["events_that_go"] == 2


def test_reconcile_lets_what_is_due_take_effect(
    client: Client, environment: dict[str, str], settings: Settings, account: str
) -> None:
    del settings
    almost = {**environment, "AUDITBUS_CONSOLE_RETENTION_GRACE_HOURS": "0.0000001"}
    done = auditbus("retention", "set", account, "30", "--yes", environment=almost)
    assert done.exit_code == 0, done.stderr
    assert account in {item.account for item in waiting_changes(client)}
    assert days_of(client, account) == 180
    done = auditbus("retention", "reconcile", environment=environment)
    assert done.exit_code == 0, done.stderr
    assert f"{account}: 30 days from now on" in done.stdout
    assert days_of(client, account) == 30
    assert account not in {item.account for item in waiting_changes(client)}


def test_now_does_not_wait(
    client: Client, environment: dict[str, str], settings: Settings, account: str
) -> None:
    del settings
    arguments = ("retention", "set", account, "30", "--yes", "--now", "--no-wait")
    done = auditbus(*arguments, environment=environment)
    assert (done.exit_code, done.stdout) == (0, f"{account}: 30 days, stored events too\n")
    assert days_of(client, account) == 30


def test_the_forecast_is_listed(environment: dict[str, str], account: str) -> None:
    arguments = ("retention", "forecast", "--days", "100", "--account", account)
    done = auditbus(*arguments, "--format", "json", environment=environment)
    (item,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (item["account"], item["events"]) == (account, 1)
    weeks = auditbus(*arguments, "--by", "week", "--format", "json", environment=environment)
    assert json.loads(weeks.stdout)["events"] == 1


def test_a_hold_is_set_listed_and_released(
    client: Client, environment: dict[str, str], settings: Settings, account: str
) -> None:
    arguments = (
        "--account",
        account,
        "--user",
        "u1",
        "--since",
        "2020-01-01",
        "--reason",
        "case 7",
    )
    done = auditbus("holds", "set", *arguments, environment=environment)
    assert done.exit_code == 0, done.stderr
    id_ = done.stdout.split()[-1]
    listed = auditbus("holds", "list", "--format", "json", environment=environment)
    (item,) = [one for one in map(json.loads, listed.stdout.splitlines()) if one["id"] == id_]
    assert (item["account"], item["user"], item["since"], item["until"], item["reason"]) == (
        account, "u1", "2020-01-01T00:00:00Z", "", "case 7",
    )  # fmt: skip
    refused = auditbus("holds", "release", id_, environment=environment, stdin="n\n")
    assert refused.exit_code == 1
    assert id_ in {hold.id for hold in list_holds(client)}
    done = auditbus("holds", "release", id_, "--yes", environment=environment)
    assert (done.exit_code, done.stdout) == (0, f"released: {id_}\n")
    again = auditbus("holds", "release", id_, "--yes", environment=environment)
    assert (again.exit_code, again.stderr) == (1, f"{id_}: no such hold\n")
    history = auditbus("holds", "list", "--all", "--format", "json", environment=environment)
    (item,) = [one for one in map(json.loads, history.stdout.splitlines()) if one["id"] == id_]
    assert "@" in item["released_by"]
    events = _recorded(settings, 2)
    assert [event["changes"][0]["after"] for event in events] == [True, False]
    assert events[0]["metadata"]["covers"]["user"] == "u1"


@pytest.mark.parametrize(
    "command",
    [
        ("retention", "set", "{}", "365", "--no-wait"),
        ("retention", "set", "{}", "30", "--yes"),
        ("holds", "set", "--account", "{}", "--reason", "case"),
    ],
)
def test_without_kafka_nothing_is_changed(
    client: Client, environment: dict[str, str], account: str, command: tuple[str, ...]
) -> None:
    unreachable = {**environment, "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = auditbus(*(word.format(account) for word in command), environment=unreachable)
    assert done.exit_code == 3
    assert days_of(client, account) == 180
    assert account not in {item.account for item in waiting_changes(client)}
    assert account not in {hold.account for hold in list_holds(client)}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--reason", "x"], "account"),
        (["--account", "a"], "--reason"),
        (["--account", "a", "--reason", " "], "--reason"),
        (["--since", "2026-01-02", "--until", "2026-01-01", "--reason", "x"], "--since"),
    ],
)
def test_a_hold_that_says_too_little_is_wrong_usage(arguments: list[str], words: str) -> None:
    done = auditbus("holds", "set", *arguments)
    assert done.exit_code == 2
    assert words in done.stderr
