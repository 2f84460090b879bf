"""`auditbus token` as an operator types it: recorded first, then done, and taken by the console."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.access import Register, Role, SignIns
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, read_topic, settings_with_topics
from tests.store import migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def environment(kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str) -> dict[str, str]:
    return environment_of(kafka.bootstrap_servers, unique_prefix, **store_environment(clickhouse))


def test_a_token_is_made_used_listed_and_revoked(
    client: Client, environment: dict[str, str], unique_prefix: str
) -> None:
    settings = settings_with_topics(environment)
    account = f"{unique_prefix}acme"
    asked = ("--name", "reports", "--role", "auditor", "--account", account, "--days", "2")
    made = auditbus("token", "create", *asked, environment=environment)
    assert made.exit_code == 0, made.stderr
    secret = made.stdout.strip()
    sign_ins = SignIns(Register(client), None, 3600)
    principal = sign_ins.by_secret(secret)
    assert principal is not None
    assert (principal.role, principal.accounts) == (Role.AUDITOR, {account})
    listed = auditbus("token", "list", "--format", "json", environment=environment)
    (row,) = (
        item
        for item in map(json.loads, listed.stdout.splitlines())
        if item["accounts"] == [account]
    )
    assert "@" in row["created_by"]
    assert row["last_used_at"] is not None
    assert secret not in listed.stdout
    revoked = auditbus("token", "revoke", row["id"], environment=environment)
    assert revoked.exit_code == 0, revoked.stderr
    assert SignIns(Register(client), None, 3600).by_secret(secret) is None
    again = auditbus("token", "revoke", row["id"], environment=environment)
    assert (again.exit_code, again.stderr) == (1, f"{row['id']}: no such token\n")
    messages = read_topic(
        settings, settings.kafka.topics.events, until=lambda found: len(found) > 1
    )
    events = [json.loads(message.value() or b"") for message in messages]
    assert [event["action"] for event in events] == ["TokenCreated", "TokenRevoked"]
    for event in events:
        assert event["account"]["id"] == "auditbus"
        assert event["actor"]["id"] == row["created_by"]
        assert event["targets"] == [{"type": "api_token", "id": row["id"], "name": "reports"}]
        assert secret not in json.dumps(event)


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        (("--name", "x", "--days", "0"), 2, "--days"),
        (("--name", "x\u202e"), 2, "--name"),
        (("--name", "x", "--account", ""), 2, "--account"),
        (("--name", "x", "--organization", "nowhere"), 1, "no organization 'nowhere'"),
    ],
)
def test_what_would_be_no_sound_token_is_refused(
    client: Client, environment: dict[str, str], asked: tuple[str, ...], code: int, said: str
) -> None:
    before = len(Register(client).tokens.all())
    refused = auditbus("token", "create", *asked, environment=environment)
    assert refused.exit_code == code
    assert said in refused.stderr
    assert refused.stdout == ""
    assert len(Register(client).tokens.all()) == before


def test_without_kafka_no_token_is_made(client: Client, environment: dict[str, str]) -> None:
    before = len(Register(client).tokens.all())
    down = {**environment, "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    done = auditbus("token", "create", "--name", "x", environment=down)
    assert (done.exit_code, done.stdout) == (3, "")
    assert len(Register(client).tokens.all()) == before
