"""Erasing a person: nothing of them is left or comes back, and no event is missing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.erasure import Erasure, erase, matched
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import describe_topics
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, read_topic, settings_with_topics, wait_until
from tests.store import encode, enriched_event, migrated_client

_SECRETS = ("Ann", "ann@example.org", "81.2.69.142", "curl/8.0", "London", "note about Ann")
_COLUMNS = "* EXCEPT (version)"


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


@pytest.fixture
def user(unique_prefix: str) -> str:
    return f"{unique_prefix}u-17"


@pytest.fixture
def environment(clickhouse: ClickHouse, kafka: Kafka, unique_prefix: str) -> dict[str, str]:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    return {**environment, **store_environment(clickhouse)}


@pytest.fixture
def settings(environment: Mapping[str, str]) -> Settings:
    made = settings_with_topics(environment)
    admin, topic = new_admin(made.kafka), made.kafka.topics.events
    wait_until(lambda: topic in describe_topics(admin, [topic]), deadline_s=30, what="the topic")
    return made


def _insert(client: Client, *events: Mapping[str, Any]) -> None:
    Writer(client).insert([encode(dict(event)) for event in events], f"test:{uuid7()}")


def _as_actor(account: str, user: str, **fields: Any) -> dict[str, Any]:
    return enriched_event(
        account,
        actor={
            "type": "user",
            "id": user,
            "name": "Ann",
            "email": "ann@example.org",
            "credential": {"type": "api_token", "id": "ann-token"},
        },
        metadata={"memo": "note about Ann"},
        changes=[{"field": "name", "before": "Ann", "after": "Anna"}],
        **{"nickname": "Ann", **fields},
    )


def _erasure(user: str, account: str | None = None, **fields: Any) -> Erasure:
    until = fields.pop("until", datetime.now(UTC))
    return Erasure(
        id=uuid7(), user=user, account=account, until=until, requested_by="ops", **fields
    )


def _rows(client: Client, account: str) -> list[dict[str, Any]]:
    found = client.query(
        f"SELECT {_COLUMNS}, search_text FROM audit.events WHERE account = %(account)s ORDER BY id",
        parameters={"account": account},
    )
    return list(found.named_results())


def test_the_person_is_gone_and_what_happened_stays(
    client: Client, account: str, user: str
) -> None:
    event = _as_actor(account, user, error={"code": "E42", "message": "Ann may not"})
    other = enriched_event(account, description="somebody else")
    _insert(client, event, other)
    erasure = _erasure(user)
    assert erase(client, erasure) == 0
    rows = {row["id"]: row for row in map(_plain, _rows(client, account))}
    assert len(rows) == 2
    row, kept = rows[event["id"]], rows[other["id"]]
    assert json.loads(kept["event"]) == other
    for secret in (*_SECRETS, user, "ann-token"):
        assert not any(secret in str(value) for value in row.values()), secret
    assert json.loads(row["event"]) == {
        **{
            name: event[name]
            for name in (
                "id", "schema_version", "action", "occurred_at", "received_at", "account",
                "category", "operation", "origin",
            )
        },
        "actor": {"type": "user", "id": f"erased:{erasure.id}"},
        "targets": [{"type": "storage", "id": "s1"}],
        "error": {"code": "E42"},
        "erased": {"erasure_id": erasure.id},
    }  # fmt: skip
    assert (row["outcome"], row["error_code"], row["action"]) == ("failure", "E42", event["action"])


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "id": str(row["id"])}


def test_what_comes_in_again_is_what_was_made_of_the_stored(
    client: Client, account: str, user: str
) -> None:
    event = _as_actor(account, user)
    _insert(client, event)
    erase(client, _erasure(user))
    (before,) = _rows(client, account)
    _insert(client, event)
    client.command("OPTIMIZE TABLE audit.events FINAL")
    assert _rows(client, account) == [before]


def test_a_replay_with_a_later_receipt_comes_in_erased(
    client: Client, account: str, user: str
) -> None:
    event = _as_actor(account, user, occurred_at="2026-11-20T10:00:00.000Z")
    assert erase(client, _erasure(user)) == 0
    _insert(client, {**event, "received_at": "2026-11-30T10:00:00.000Z"})
    (row,) = _rows(client, account)
    assert row["actor_id"].startswith("erased:")
    assert "Ann" not in row["event"]


def test_one_who_comes_back_is_recorded_again(client: Client, account: str, user: str) -> None:
    erase(client, _erasure(user, until=datetime.now(UTC) - timedelta(hours=1)))
    event = _as_actor(account, user)
    _insert(client, event)
    (row,) = _rows(client, account)
    assert json.loads(row["event"]) == event


def test_as_a_target_and_as_one_who_is_acted_for(client: Client, account: str, user: str) -> None:
    invited = enriched_event(
        account,
        description="invited Ann",
        targets=[
            {"type": "user", "id": user, "name": "Ann"},
            {"type": "team", "id": "t1", "name": "Core"},
        ],
        actor={"type": "user", "id": "u2", "name": "Bob", "email": "bob@example.org"},
    )
    helped = enriched_event(
        account,
        actor={
            "type": "user", "id": "support", "name": "Sue",
            "on_behalf_of": {"type": "user", "id": user, "name": "Ann"},
        },
    )  # fmt: skip
    _insert(client, invited, helped)
    (found,) = matched(client, user, None, datetime.now(UTC))
    assert (found.account, found.as_actor, found.as_other) == (account, 0, 2)
    erasure = _erasure(user)
    assert erase(client, erasure) == 0
    events = {row["id"]: json.loads(row["event"]) for row in map(_plain, _rows(client, account))}
    assert "Ann" not in json.dumps(list(events.values()))
    assert events[invited["id"]]["targets"] == [
        {"type": "user", "id": f"erased:{erasure.id}"},
        {"type": "team", "id": "t1"},
    ]
    assert events[invited["id"]]["actor"]["name"] == "Bob"
    assert events[invited["id"]]["context"] == invited["context"]
    assert events[helped["id"]]["actor"] == {
        "type": "user", "id": "support", "name": "Sue", "email": "",
    }  # fmt: skip


def test_the_same_id_in_another_account_stays(client: Client, account: str, user: str) -> None:
    elsewhere = f"{account}-2"
    _insert(client, _as_actor(account, user), _as_actor(elsewhere, user))
    assert erase(client, _erasure(user, account)) == 0
    assert _rows(client, account)[0]["actor_id"].startswith("erased:")
    assert _rows(client, elsewhere)[0]["actor_id"] == user
    _insert(client, _as_actor(elsewhere, user))
    assert [row["actor_id"] for row in _rows(client, elsewhere)] == [user, user]


@pytest.mark.parametrize(
    "hostile",
    ["'", "\\", "') OR 1=1 --", "{erased_user:String}", "%(mark)s", '"', "\u202e\U0001f600"],
)
def test_hostile_ids_are_ids(client: Client, account: str, user: str, hostile: str) -> None:
    named, other = f"{user}{hostile}", f"{user}-other"
    _insert(client, _as_actor(account, named), _as_actor(account, other))
    assert erase(client, _erasure(named)) == 0
    assert sorted(row["actor_id"][:7] for row in _rows(client, account)) == sorted(
        ["erased:", other[:7]]
    )


@pytest.mark.parametrize("step", ["writing", "deleting"])
def test_killed_in_between_nothing_is_missing_and_the_next_run_ends_it(
    client: Client, environment: dict[str, str], settings: Settings, account: str, user: str,
    step: str,
) -> None:  # fmt: skip
    events = [_as_actor(account, user) for _ in range(7)]
    _insert(client, *events)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.erase_process", step, "erase", "--user", user, "--yes"],
        env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert b"reached\n" in iter(process.stdout.readline, b"")
        finally:
            process.send_signal(signal.SIGKILL)
    ids = "SELECT uniqExact(id) FROM audit.log WHERE account = %(account)s"
    assert client.query(ids, parameters={"account": account}).result_rows == [(7,)]
    of_person = [row for row in _rows(client, account) if row["actor_id"] == user]
    # Where all copies are there, a merge may have put them in the originals' place by itself.
    assert of_person or step == "deleting", "it was killed before the originals went"
    done = auditbus("erase", "--user", user, "--yes", environment=environment)
    assert done.exit_code == 0, done.stderr
    rows = _rows(client, account)
    assert {str(row["id"]) for row in rows} == {event["id"] for event in events}
    assert all("Ann" not in row["event"] and row["actor_id"] != user for row in rows)
    assert len(rows) == len(events)


def test_the_command_shows_asks_records_and_erases(
    client: Client, environment: dict[str, str], settings: Settings, account: str, user: str
) -> None:
    _insert(client, _as_actor(account, user))
    dry = auditbus("erase", "--user", user, "--dry-run", environment=environment)
    assert (dry.exit_code, "1 events would be rewritten" in dry.stderr) == (0, True)
    assert _rows(client, account)[0]["actor_id"] == user
    asked = auditbus("erase", "--user", user, environment=environment, stdin="n\n")
    assert asked.exit_code == 1
    assert _rows(client, account)[0]["actor_id"] == user
    done = auditbus(
        "erase", "--user", user, "--reason", "request 7", "--yes", environment=environment
    )
    assert done.exit_code == 0, done.stderr
    assert _rows(client, account)[0]["actor_id"].startswith("erased:")
    (record,) = read_topic(settings, settings.kafka.topics.events, until=bool)
    recorded = json.loads(record.value() or b"")
    assert (recorded["action"], recorded["account"]) == ("PersonErased", {"id": "auditbus"})
    assert recorded["metadata"]["events"] == {account: 1}
    assert user not in json.dumps(recorded)


def test_an_erasure_that_cannot_be_recorded_does_not_happen(
    client: Client, environment: dict[str, str], account: str, user: str
) -> None:
    _insert(client, _as_actor(account, user))
    unreachable = {**environment, "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = auditbus("erase", "--user", user, "--yes", environment=unreachable)
    assert done.exit_code == 3
    assert _rows(client, account)[0]["actor_id"] == user


def test_events_on_hold_are_not_erased(
    client: Client, environment: dict[str, str], settings: Settings, account: str, user: str
) -> None:
    client.insert(
        "audit.holds", [[account, True, "case 7"]], column_names=["account", "held", "reason"]
    )
    client.command("SYSTEM RELOAD DICTIONARY audit.hold_by_account")
    _insert(client, _as_actor(account, user))
    done = auditbus("erase", "--user", user, "--yes", environment=environment)
    assert (done.exit_code, "legal hold" in done.stderr) == (1, True)
    assert _rows(client, account)[0]["actor_id"] == user
