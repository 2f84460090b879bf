"""Twenty thousand events through every hop, bad ones among them, judged by the oracle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from auditbus.producers import AuditProducer
from auditbus.runtime.settings import Settings
from auditbus.schemas.ids import uuid7
from tests.backends.parts import ClickHouse, Kafka
from tests.oracle import ALL_WELL, dead_letters, ids_of, ids_seen, judge
from tests.pipeline import environment_of, event, publish_raw, settings_with_topics, wait_until
from tests.roles import start_role
from tests.store import migrated_client
from tests.webhook_receiver import SECRET, Receiver, receiving

EVENTS = 20_000
BAD_EVERY = 100
DESTINATION = """
[forwarder.destinations.siem]
type = "webhook"
url = "{url}"
secret_env = "HOOK_SECRET"
allow_private_targets = true
"""


def test_every_event_is_stored_and_delivered_once_or_a_dead_letter(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver, migrated_client(clickhouse) as client:
        environment = _environment(kafka, clickhouse, unique_prefix, receiver, tmp_path)
        settings = settings_with_topics(environment)
        with _roles(environment, tmp_path):
            good, bad = _publish(settings, unique_prefix)
            published = good + bad

            def stored() -> int:
                return len(ids_seen(client, unique_prefix))

            wait_until(lambda: stored() >= len(good), deadline_s=120, what="all is stored")
            wait_until(
                lambda: len(receiver.delivered) >= len(good), deadline_s=120, what="all delivered"
            )
            wait_until(
                lambda: len(dead_letters(settings)) >= len(bad), deadline_s=60, what="all buried"
            )
            shown = _by_command_line(environment, f"{unique_prefix}account-7")

        buried = ids_of(dead_letters(settings))
        assert judge(published, ids_seen(client, unique_prefix), buried) == ALL_WELL
        assert judge(published, receiver.delivered.elements(), buried) == ALL_WELL
        assert sorted(buried) == sorted(bad)
        rows = client.query(
            "SELECT event FROM audit.log WHERE account = %(account)s",
            parameters={"account": f"{unique_prefix}account-7"},
        ).result_rows
        assert {json.loads(row[0])["id"] for row in rows} == {line["id"] for line in shown}
        assert {line["location"]["country_code"] for line in shown} == {"GB"}


def _environment(
    kafka: Kafka, clickhouse: ClickHouse, prefix: str, receiver: Receiver, directory: Path
) -> dict[str, str]:
    config = directory / "auditbus.toml"
    config.write_text(DESTINATION.format(url=receiver.url))
    return environment_of(
        kafka.bootstrap_servers,
        prefix,
        AUDITBUS_CONFIG=str(config),
        AUDITBUS_CLICKHOUSE_URL=clickhouse.url,
        AUDITBUS_CLICKHOUSE_USERNAME=clickhouse.username,
        AUDITBUS_CLICKHOUSE_PASSWORD=clickhouse.password,
    )


@contextmanager
def _roles(environment: dict[str, str], directory: Path) -> Iterator[None]:
    variables = {**environment, "HOOK_SECRET": SECRET}
    children = [start_role(role, variables, directory) for role in ("stream", "sink", "forwarder")]
    try:
        yield
    finally:
        for child in children:
            child.terminate()
        for child in children:
            assert child.wait(15), f"{child.name} does not stop"
    assert [child.exit_code for child in children] == [0, 0, 0]


def _publish(settings: Settings, prefix: str) -> tuple[list[str], list[str]]:
    """Publish through the SDK, and bad ones past it; return the ids of both."""
    good, bad, refused = [], [], []
    with AuditProducer(
        settings.kafka.bootstrap_servers, topic=settings.kafka.topics.events
    ) as producer:
        for number in range(EVENTS):
            account = {"id": f"{prefix}account-{number % 50}"}
            if number % BAD_EVERY == 0:
                bad.append(uuid7())
                refused.append(
                    orjson.dumps(
                        event(number, id=bad[-1], account=account, occurred_at="yesterday")
                    )
                )
            else:
                made = event(number, account=account)
                producer.emit(made)
                good.append(made["id"])
    publish_raw(settings, refused)
    assert len(good) + len(bad) == EVENTS
    return good, bad


def _by_command_line(environment: dict[str, str], account: str) -> list[dict]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "auditbus.console", "events"),
            *("--account", account, "--format", "json", "--limit", "1000"),
        ],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]
