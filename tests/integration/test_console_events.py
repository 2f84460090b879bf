"""The console's own events reach Kafka; while it is down they wait, and nobody is kept out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from auditbus.console.access import Recorder, new_producer
from auditbus.console.web import Services, create_app
from auditbus.runtime.settings import ConsoleSettings, Settings
from tests.backends.parts import ClickHouse, Kafka
from tests.console import ADMINISTRATOR, browser, console_app, serving
from tests.pipeline import environment_of, read_topic, settings_with_topics
from tests.store import migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def _settings(kafka: Settings, spool: Path) -> Settings:
    console = ConsoleSettings(
        administrator_token=SecretStr(ADMINISTRATOR),
        public_url="http://127.0.0.1:8080",
        spool_dir=spool,
    )
    return kafka.model_copy(update={"console": console})


def test_a_sign_in_is_published_also_one_while_kafka_was_down(
    store: Client, fresh_kafka: Kafka, tmp_path: Path
) -> None:
    kafka = settings_with_topics(environment_of(fresh_kafka.bootstrap_servers, ""))
    settings = _settings(kafka, tmp_path / "spool")
    with new_producer(settings) as producer:
        app = create_app(Services.build(settings, store, Recorder(producer)))
        with browser(app) as client:
            assert client.post("/sign-in", data={"token": ADMINISTRATOR}).status_code == 303
            producer.flush(30)
            fresh_kafka.stop()
            assert client.post("/sign-out").status_code == 303
            assert client.post("/sign-in", data={"token": ADMINISTRATOR}).status_code == 303
            assert client.get("/api/v1/principal").status_code == 200
            assert client.post("/sign-in", data={"token": "wrong"}).status_code == 401
        fresh_kafka.start()
        messages = read_topic(kafka, kafka.kafka.topics.events, until=lambda found: len(found) >= 4)
    events = [json.loads(message.value() or b"") for message in messages]
    assert sorted(event["action"] for event in events) == [
        "AccessRefused", "Login", "Login", "Logout",
    ]  # fmt: skip
    assert {event["account"]["id"] for event in events} == {"auditbus"}
    assert ADMINISTRATOR not in str(events)
    assert {message.key() for message in messages} == {b"auditbus"}


def test_the_address_of_a_caller_is_believed_from_trusted_proxies_alone(store: Client) -> None:
    for trusted, seen in (([], "127.0.0.1"), (["127.0.0.0/8"], "203.0.113.9")):
        app = console_app(store)
        refusals = app.state.services.access.refusals
        with serving(app, proxy_headers=bool(trusted), forwarded_allow_ips=trusted) as url:
            answer = requests.get(
                f"{url}/api/v1/principal",
                headers={
                    "authorization": "Bearer abt_wrong",
                    # The first is what a client made up; the proxy added the second.
                    "x-forwarded-for": "198.51.100.1, 203.0.113.9",
                },
                timeout=10,
            )
            assert answer.status_code == 401
            ((who, _),) = refusals._counts
            assert who == seen


def test_an_address_that_fails_often_gets_429_but_its_good_token_passes(store: Client) -> None:
    with serving(console_app(store)) as url:
        good = {"authorization": f"Bearer {ADMINISTRATOR}"}
        assert requests.get(f"{url}/api/v1/principal", headers=good, timeout=10).ok
        statuses = [
            requests.get(
                f"{url}/api/v1/principal",
                headers={"authorization": f"Bearer abt_{number}"},
                timeout=10,
            ).status_code
            for number in range(25)
        ]
        assert statuses == [401] * 20 + [429] * 5
        form = requests.post(f"{url}/sign-in", data={"token": ADMINISTRATOR}, timeout=10)
        assert form.status_code == 429
        assert int(form.headers["retry-after"]) <= 61
        assert requests.get(f"{url}/api/v1/principal", headers=good, timeout=10).ok
