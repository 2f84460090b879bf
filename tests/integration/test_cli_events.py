"""Events stored through audit.ingest come out of `events`, `export` and `tail` as they should."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.query import EventFilter, EventLog, Tail, event_predicate
from auditbus.console.query import events as events_module
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, settings_with_topics
from tests.store import encode, enriched_event, migrated_client

_HOSTILE = [
    "'",
    "\\",
    "') OR 1=1 --",
    "' UNION SELECT * FROM system.tables --",
    "{accounts:Array(String)}",
    "%(x)s",
    "]'",
    "\t\n\x00",
    "NULL",
    "\u202e\U0001f600",
]


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture(scope="module")
def environment(clickhouse: ClickHouse) -> dict[str, str]:
    return store_environment(clickhouse)


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


def _store(client: Client, *events: dict[str, Any]) -> None:
    Writer(client).insert([encode(event) for event in events], f"test:{uuid7()}")


def _ids(environment: dict[str, str], *arguments: str, command: str = "events") -> list[str]:
    result = auditbus(command, "--format", "json", *arguments, environment=environment)
    assert result.exit_code == 0, result.stderr
    return [json.loads(line)["id"] for line in result.stdout.splitlines()]


def test_every_filter_finds_its_event_and_no_other(
    client: Client, environment: dict[str, str], account: str
) -> None:
    wanted = enriched_event(
        account,
        action="RepositoryRenamed",
        occurred_at="2026-11-20T10:00:00.000Z",
        received_at="2026-11-20T10:00:01.000Z",
        actor={
            "type": "user",
            "id": "u-77",
            "name": "J\u00fcrgen Gro\u00df",
            "email": "J@Example.org",
        },
        description="renamed billing-archive",
        error={"code": "E9", "message": "quota exceeded"},
        context={"ip": "203.0.113.77"},
        category="repository",
        location={"country_code": "DE", "country": "Germany", "label": "Berlin, Germany"},
        device={"type": "desktop", "label": "Chrome 131 on Windows 10/11"},
    )
    other = enriched_event(
        account,
        occurred_at="2026-11-10T10:00:00.000Z",
        received_at="2026-11-10T10:00:01.000Z",
        context={"ip": "2001:db8::5"},
    )
    _store(client, wanted, other)
    for arguments in (
        ["--user", "u-77"],
        ["--user", "j\u00fcrgen gro\u00df"],
        ["--user", "j@example.org"],
        ["--action", "RepositoryRenamed"],
        ["--action", "RepositoryRenamed", "--action", "Login"],
        ["--category", "repository"],
        ["--outcome", "failure"],
        ["--ip", "203.0.113.77"],
        ["--ip", "203.0.113.0/24"],
        ["--ip", "::ffff:203.0.113.77"],
        ["--ip", "0.0.0.0/0"],
        ["--country", "de"],
        ["--country", "germany"],
        ["--device", "windows"],
        ["--device", "DESKTOP"],
        ["--since", "2026-11-20"],
        ["--since", "2026-11-20T10:00:00Z", "--until", "2026-11-20T10:00:01Z"],
        ["--until", "2026-11-20", "--since", "2026-11-19"],
        ["--text", "BILLING quota"],
        ["--text", "gro\u00df"],
        ["--id", wanted["id"]],
        ["--id", wanted["id"].upper()],
        ["--outcome", "failure", "--country", "DE", "--text", "archive"],
    ):
        assert _ids(environment, "--account", account, *arguments) == [wanted["id"]], arguments
    for arguments in (
        ["--ip", "2001:db8::/32"],
        ["--until", "2026-11-19"],
        ["--outcome", "success"],
        ["--country", "GB"],
        ["--until", "2026-11-20T10:00:00Z"],
    ):
        assert _ids(environment, "--account", account, *arguments) == [other["id"]], arguments
    assert _ids(environment, "--account", account, "--text", "billing berlin renamed absent") == []
    assert _ids(environment, "--account", account) == [wanted["id"], other["id"]]
    assert _ids(environment, "--account", account, "--limit", "1") == [wanted["id"]]


@pytest.mark.parametrize(
    "option", ["account", "user", "action", "category", "country", "device", "text"]
)
def test_hostile_values_find_nothing_and_break_nothing(
    client: Client, environment: dict[str, str], account: str, option: str
) -> None:
    _store(client, enriched_event(account))
    for hostile in _HOSTILE:
        if option == "text" and not any(c.isalnum() or not c.isascii() for c in hostile):
            continue
        more = [] if option == "account" else ["--account", account]
        assert _ids(environment, *more, f"--{option}", hostile) == [], hostile


def test_an_event_is_found_by_a_hostile_value_that_it_holds(
    client: Client, environment: dict[str, str], unique_prefix: str
) -> None:
    for hostile in _HOSTILE:
        name = unique_prefix + hostile
        event = enriched_event(name, actor={"type": "user", "id": name})
        _store(client, event)
        assert _ids(environment, "--account", name, "--user", name) == [event["id"]], hostile


def test_json_is_the_original_byte_for_byte_but_for_line_breaks_between_tokens(
    client: Client, environment: dict[str, str], account: str
) -> None:
    compact = encode(enriched_event(account, unknown={"field": [1.50, "\u00e4"]}))
    pretty = json.dumps(enriched_event(account, x="a\nb"), indent=1).encode()
    Writer(client).insert([compact], f"test:{uuid7()}")
    Writer(client).insert([pretty], f"test:{uuid7()}")
    result = auditbus("events", "--account", account, "--format", "json", environment=environment)
    lines = result.stdout_bytes.splitlines()
    assert compact in lines
    assert sorted(lines, key=len)[1] == pretty.replace(b"\n", b" ")


def test_pages_meet_without_a_gap_or_a_repeat_also_where_times_are_equal(
    client: Client, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_FIRST_PAGE_ROWS", 3)
    monkeypatch.setattr(events_module, "_MAX_PAGE_ROWS", 7)
    events = [
        enriched_event(account, occurred_at=f"2026-11-20T10:00:0{number // 20}.000Z")
        for number in range(60)
    ]
    _store(client, *events)
    predicate = event_predicate(EventFilter(accounts=(account,)))
    rows = list(EventLog(client).newest(predicate))
    assert sorted(str(row.id) for row in rows) == sorted(event["id"] for event in events)
    assert [row.time for row in rows] == sorted((row.time for row in rows), reverse=True)
    assert len(list(EventLog(client).originals(predicate, 10))) == 10


def test_a_table_shows_hostile_events_harmlessly(
    client: Client, environment: dict[str, str], account: str
) -> None:
    _store(client, enriched_event(account, description="[bold]\x1b[2J\n\u202eevil"))
    shown = auditbus("events", "--account", account, environment=environment).stdout
    assert "[bold]\\x1b[2J\\n\\u202eevil" in shown
    assert "\x1b" not in shown


def _spawn(environment: dict[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "auditbus.console", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("output", ["json", "table", "csv"])
def test_a_reader_that_leaves_early_is_no_error(
    client: Client, environment: dict[str, str], account: str, output: str
) -> None:
    _store(client, *(enriched_event(account, description="x" * 2000) for _ in range(200)))
    with _spawn(
        environment, "events", "--account", account, "--limit", "0", "--format", output
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.readline()
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(20) == 0


def _placed(
    account: str, partition: int, offset: int, second: int, **fields: Any
) -> dict[str, Any]:
    moment = f"2026-11-20T10:{second // 60:02}:{second % 60:02}.000Z"
    origin = {"topic": "audit.events", "partition": partition, "offset": offset}
    return enriched_event(account, occurred_at=moment, received_at=moment, origin=origin, **fields)


def _polled(tail: Tail) -> list[str]:
    return [str(row.id) for row in tail.poll()]


def test_tail_shows_each_event_once_also_one_that_is_stored_late(
    fresh_clickhouse: ClickHouse,
) -> None:
    with migrated_client(fresh_clickhouse) as client:
        predicate = event_predicate(EventFilter(accounts=("acme",)))
        tail = Tail(client, predicate)
        old = [_placed("acme", 0, offset, offset) for offset in range(5)]
        _store(client, *old)
        shown = [str(row.id) for row in tail.start(2)]
        assert shown == [event["id"] for event in old[-2:]]
        assert _polled(tail) == []
        # Offsets 6 and 7 are overtaken by 8 and 9, and arrive in another order and partition.
        late = [_placed("acme", 0, offset, offset) for offset in (6, 7)]
        fast = [_placed("acme", 0, offset, offset) for offset in (8, 9)]
        unseen_partition = _placed("acme", 5, 0, 3)
        unwanted = _placed("other", 0, 10, 10)
        _store(client, *fast, unwanted)
        assert _polled(tail) == [event["id"] for event in fast]
        _store(client, unseen_partition, *late)
        assert _polled(tail) == [event["id"] for event in (unseen_partition, *late)]
        # A copy of an event that was shown, or that is older than the tail, is nothing new.
        copies = [
            {**event, "origin": {"topic": "audit.events", "partition": 0, "offset": 20 + number}}
            for number, event in enumerate((old[0], late[0]))
        ]
        _store(client, *copies)
        assert _polled(tail) == []


def test_tail_shows_what_a_stalled_sink_stores_later_however_old(
    fresh_clickhouse: ClickHouse,
) -> None:
    with migrated_client(fresh_clickhouse) as client:
        tail = Tail(client, event_predicate(EventFilter()))
        _store(client, _placed("acme", 0, 0, 0), _placed("acme", 1, 0, 3_000))
        tail.start(0)
        behind = [_placed("acme", 0, offset, offset) for offset in range(1, 2500)]
        _store(client, *behind)
        assert _polled(tail) == [event["id"] for event in behind]
        assert _polled(tail) == []


def test_a_poll_that_was_interrupted_is_made_up_for(fresh_clickhouse: ClickHouse) -> None:
    with migrated_client(fresh_clickhouse) as client:
        tail = Tail(client, event_predicate(EventFilter()))
        tail.start(0)
        stored = [_placed("acme", 0, offset, offset) for offset in range(3)]
        _store(client, *stored)
        first = next(iter(tail.poll()))
        assert [str(first.id), *_polled(tail)] == [event["id"] for event in stored]


def test_tail_follows_and_ends_with_0_at_ctrl_c(
    client: Client, environment: dict[str, str], account: str
) -> None:
    existing = enriched_event(account)
    _store(client, existing)
    with _spawn(environment, "tail", "--account", account, "--format", "json") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        watchdog = threading.Timer(30, child.kill)
        watchdog.start()
        try:
            assert json.loads(child.stdout.readline())["id"] == existing["id"]
            followed = enriched_event(account)
            _store(client, followed)
            began = time.monotonic()
            assert json.loads(child.stdout.readline())["id"] == followed["id"]
            assert time.monotonic() - began < 5
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 0
            assert child.stderr.read() == b""
        finally:
            watchdog.cancel()
            child.kill()


def test_retention_is_set_listed_and_refuses_nothing_hostile(
    client: Client, kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, account: str
) -> None:
    store = store_environment(clickhouse)
    environment = environment_of(kafka.bootstrap_servers, unique_prefix, **store)
    settings_with_topics(environment)  # the change is recorded first
    name = f"{account}'); DROP TABLE audit.events --"
    _store(client, enriched_event(name))
    done = auditbus("retention", "set", name, "365", "--no-wait", environment=environment)
    assert done.exit_code == 0, done.stderr
    listed = auditbus("retention", "list", "--format", "json", environment=environment)
    found = [json.loads(line) for line in listed.stdout.splitlines()]
    assert [item["days"] for item in found if item["account"] == name] == [365]
    days = client.query(
        "SELECT retention_days FROM audit.log WHERE account = %(name)s", parameters={"name": name}
    ).result_rows
    assert days == [(365,)]


def test_an_unmigrated_store_says_what_to_run(fresh_clickhouse: ClickHouse) -> None:
    environment = store_environment(fresh_clickhouse)
    refused = auditbus("events", environment=environment)
    assert refused.exit_code == 3
    assert "auditbus migrate" in refused.stderr
