"""`destinations replay` from a real store to a webhook: counted, filtered, paced, resumed."""

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.destinations import stored
from auditbus.console.destinations.stored import StoredEvents
from auditbus.console.query.predicate import EventFilter, event_predicate
from auditbus.schemas.event import RESERVED_FIELDS
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import parse_rfc3339
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import store_environment
from tests.destination_commands import Line
from tests.forwarding import (
    Table,
    check_exactly_once,
    check_nothing_lost,
    dead_ids,
    dead_letters,
    forwarder_settings,
    forwarding,
    publish,
    webhook,
)
from tests.pipeline import wait_until
from tests.receivers.splunk import splunk
from tests.store import days_ago, encode, enriched_event, migrated_client
from tests.webhook_receiver import Reply, receiving

_DAY = datetime.now(UTC).date() - timedelta(days=30)  # kept: the store forgets after 180
_FROM, _TO = f"{_DAY}T00:00:00Z", f"{_DAY + timedelta(days=1)}T00:00:00Z"


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


class Stored:
    """Events in the store, received a second apart from 10:00 on; times as they are told."""

    def __init__(self, client: Client, account: str) -> None:
        self._client = client
        self.account = account

    def put(self, count: int, *, first: int = 0, **fields: Any) -> list[str]:
        events = [self._event(number, fields) for number in range(first, first + count)]
        Writer(self._client).insert([encode(event) for event in events], f"test:{uuid7()}")
        return [event["id"] for event in events]

    def _event(self, number: int, fields: dict[str, Any]) -> dict[str, Any]:
        moment = f"{_DAY}T10:{number // 60 % 60:02d}:{number % 60:02d}.{number // 3600:03d}Z"
        return enriched_event(
            self.account,
            **{
                "occurred_at": moment,
                "received_at": moment,
                "metadata": {"number": number},
                "origin": {"topic": "audit.events", "partition": 3, "offset": number},
                **fields,
            },
        )


@pytest.fixture
def events(client: Client, unique_prefix: str) -> Stored:
    return Stored(client, f"{unique_prefix}acme")


def _line(
    kafka: Kafka, store: ClickHouse, prefix: str, directory: Path, **destinations: Table
) -> Line:
    settings = forwarder_settings(kafka.bootstrap_servers, prefix, **destinations)
    return Line(settings, directory, **store_environment(store))


def _replay(events: Stored, *more: str) -> list[str]:
    period = ["--since", _FROM, "--until", _TO, "--account", events.account]
    return ["replay", "soc", *period, "--yes", "--rate", "0", *more]


def test_a_replay_sends_what_is_stored_counted_in_the_order_of_receipt(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver))
        ids = events.put(300)
        events.put(1, received_at=f"{_DAY - timedelta(days=1)}T23:59:59.999Z", occurred_at=_FROM)
        events.put(1, received_at=_TO, occurred_at=_FROM)
        other = Stored(events._client, events.account + "-other")
        other.put(5)
        result = line.run(*_replay(events))
        assert result.exit_code == 0, result.stderr
        assert result.stdout.startswith("replayed 300: acknowledged 300, filtered 0, refused 0")
        assert f"to replay: 300 events received from {_FROM}" in result.stderr
        check_exactly_once(ids, receiver.delivered)
        assert receiver.order(events.account) == list(range(300))
        again = line.run(*_replay(events))
        assert "replayed before, to its end" in again.stderr
        assert len(receiver.taken) > 2
        assert set(receiver.delivered.values()) == {2}
        nothing = line.run("replay", "soc", "--since", _TO, "--until", _TO, "--yes")
        assert (nothing.exit_code, nothing.stdout) == (0, "")


def test_a_replay_asks_first_and_filters_and_redacts_like_live_delivery(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver, topic="raw"))
        with line.config.open("a") as config:
            config.write('[forwarder.destinations.soc.filter]\noutcome = ["failure"]\n')
            config.write('[forwarder.destinations.soc.redact]\nemails = "mask"\n')
        events.put(10)
        failed = events.put(4, first=10, error={"code": "E1", "message": "told bob@example.org"})
        no = line.run(*[word for word in _replay(events) if word != "--yes"])
        assert no.exit_code == 1
        assert "Send 14 to soc?" in no.stdout
        assert not receiver.requests
        result = line.run(*_replay(events))
        assert "acknowledged 4, filtered 10" in result.stdout
        check_exactly_once(failed, receiver.delivered)
        assert all(b"example.org" not in body for body in receiver.bodies)
        for request in receiver.taken:
            for event in request.events:
                assert not RESERVED_FIELDS & event.keys()
                assert event["error"]["message"] == "told [email]"


def test_events_older_than_the_destination_takes_are_counted_and_left_out(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(
            kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver, max_event_age_s=3600)
        )
        now = days_ago(0)
        events.put(8, received_at=now)
        young = events.put(3, first=8, received_at=now, occurred_at=now)
        words = ["--since", "1h", "--account", events.account, "--yes"]
        result = line.run("replay", "soc", *words)
        assert result.exit_code == 0, result.stderr
        assert "too old for soc (max_event_age_s): 8" in result.stderr
        assert result.stdout.startswith("replayed 11: acknowledged 3, filtered 0, refused 0, ")
        assert "too old 8" in result.stdout
        check_exactly_once(young, receiver.delivered)


def test_what_is_refused_is_a_dead_letter_and_the_rest_arrives(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver))
        ids = events.put(120)
        receiver.behaviour = lambda request: Reply(
            400 if any(e["metadata"]["number"] == 77 for e in request.events) else 200
        )
        result = line.run(*_replay(events))
        assert result.exit_code == 1
        assert "acknowledged 119, filtered 0, refused 1" in result.stdout
        letters = dead_letters(_settings(line), 1)
        check_exactly_once(ids, receiver.delivered, dead_ids(letters))
        assert letters[0].stage == "forwarder.soc"


def test_a_replay_that_is_refused_says_why_and_goes_on_once_it_is_mended(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(
            kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver, batch_events=20)
        )
        ids = events.put(100)
        receiver.behaviour = lambda _: Reply(200 if len(receiver.taken) < 2 else 401)
        stopped = line.run(*_replay(events))
        assert stopped.exit_code == 1
        assert "not authorised" in stopped.stderr
        receiver.behaviour = lambda _: Reply()
        line.run("pause", "soc")
        paused = line.run(*_replay(events))
        assert paused.exit_code == 1
        assert "auditbus destinations resume soc" in paused.stderr
        line.run("resume", "soc")
        gone_on = line.run(*_replay(events))
        assert gone_on.exit_code == 0, gone_on.stderr
        assert "done before: 40; --restart sends them again" in gone_on.stderr
        assert gone_on.stdout.startswith("replayed 60: ")
        check_exactly_once(ids, receiver.delivered)


def test_a_replay_killed_in_the_middle_goes_on_and_live_delivery_is_not_disturbed(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    """Killed with -9 three times; `--since 100d` means what it meant when it began."""
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=20)
        )
        line = Line(settings, tmp_path, **store_environment(clickhouse))
        ids = events.put(1500)
        mine = set(ids)
        words = ["replay", "soc", "--since", "100d", "--account", events.account, "--yes"]
        with forwarding(settings):
            live = publish(settings, settings.kafka.topics.enriched, 300)
            for kill in range(1, 4):
                process = line.start(*words, "--rate", "200")
                try:
                    wait_until(
                        lambda kill=kill: len(mine & receiver.delivered.keys()) > 300 * kill,
                        deadline_s=60,
                        what="some of the replay",
                    )
                finally:
                    process.kill()
                    process.communicate()
            last = line.start(*words, "--rate", "0")
            out, err = last.communicate(timeout=120)
            assert last.returncode == 0, err
            wait_until(lambda: set(live) <= receiver.delivered.keys(), deadline_s=30, what="live")
        repeats = check_nothing_lost([*ids, *live], receiver.delivered)
        assert repeats <= 3 * 300  # at each kill, what was sent since the last note of a second ago
        before = int(re.findall(r"done before: ([\d,]+)", err)[0].replace(",", ""))
        assert before >= 600, err
        assert out.startswith(f"replayed {1500 - before}: ")


def test_a_replay_ends_when_its_destination_is_paused_and_goes_on_when_it_is_resumed(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    """It had gone on to send to a destination that an operator had paused."""
    with receiving() as receiver:
        line = _line(
            kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver, batch_events=10)
        )
        ids = events.put(1000)
        words = [word if word != "0" else "100" for word in _replay(events)]
        process = line.start(*words)
        try:
            wait_until(lambda: len(receiver.delivered) >= 50, deadline_s=60, what="some of it")
            assert line.run("pause", "soc").exit_code == 0
            _, err = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 1
        assert "soc is paused; first: auditbus destinations resume soc" in err
        sent = len(receiver.delivered)
        assert sent < 1000
        assert line.run(*_replay(events)).exit_code == 1
        assert line.run("resume", "soc").exit_code == 0
        again = line.run(*_replay(events))
        assert again.exit_code == 0, again.stderr
        assert again.stdout.startswith(f"replayed {1000 - sent}: ")
        check_exactly_once(ids, receiver.delivered)


def test_a_replay_keeps_its_pace(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    with receiving() as receiver:
        line = _line(
            kafka, clickhouse, unique_prefix, tmp_path, soc=webhook(receiver, batch_events=10)
        )
        events.put(100)
        words = [word if word != "0" else "50" for word in _replay(events)]
        started = time.monotonic()
        assert line.run(*words).exit_code == 0
        assert time.monotonic() - started > 90 / 50


def test_spans_and_pages_give_every_event_once_in_order_from_any_place(
    client: Client, events: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "_SPAN_ROWS", 40)
    monkeypatch.setattr(stored, "_PAGE_ROWS", 7)
    events.put(150)
    events.put(60, first=1000, received_at=f"{_DAY}T10:00:30.500Z")  # more than a span holds
    wanted = event_predicate(EventFilter(accounts=(events.account,)))
    reader = StoredEvents(client, wanted, parse_rfc3339(_FROM), parse_rfc3339(_TO))
    found = list(reader.read())
    assert reader.count() == len(found) == 210
    order = [(e.place.received_ms, e.place.partition, e.place.offset) for e in found]
    assert order == sorted(order)
    assert len({e.place.id for e in found}) == 210
    for place in range(0, 210, 13):
        assert list(reader.read(found[place].place)) == found[place + 1 :]
    assert orjson.loads(found[0].value)["metadata"]["number"] == 0
    assert json.loads(found[-1].value)["id"] == found[-1].place.id


def _settings(line: Line) -> Any:
    from auditbus.runtime.settings import load_settings

    return load_settings({k: v for k, v in line.environment.items() if k.startswith("AUDITBUS")})


def test_a_replay_to_splunk_counts_what_is_acknowledged_not_what_is_taken(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, events: Stored, tmp_path: Path
) -> None:
    """Several requests wait for their acknowledgement at a time; a part of one comes again."""
    with splunk() as receiver:
        table: Table = {
            "type": "splunk",
            "url": receiver.url,
            "token_env": "SPLUNK_TOKEN",
            "allow_private_targets": True,
            "batch_events": 20,
            "ack_poll_s": 0.1,
            "retry_base_s": 0.1,
        }
        line = _line(kafka, clickhouse, unique_prefix, tmp_path, soc=table)
        line.environment["SPLUNK_TOKEN"] = receiver.token
        tested = line.run("test", "soc")
        assert (tested.exit_code, "acknowledged" in tested.stdout) == (0, True), tested.stdout
        receiver.events.clear()
        ids = events.put(150)
        receiver.refused = {ids[70]}
        result = line.run(*_replay(events))
        assert result.exit_code == 1, result.stderr
        assert "acknowledged 149, filtered 0, refused 1" in result.stdout
        letters = dead_letters(_settings(line), 1)
        check_nothing_lost(ids, receiver.delivered, dead_ids(letters))
