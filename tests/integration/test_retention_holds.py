"""Legal holds on the real engine: what they cover stays, stored or new, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.retention import (
    Hold,
    Recorded,
    hold_history,
    list_holds,
    reconcile_holds,
    release_hold,
    set_hold,
)
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse import load_migrations, migrate, new_client
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.store import (
    clickhouse_settings,
    days_ago,
    dictionary_user,
    encode,
    enriched_event,
    migrated_client,
)

NOW = datetime.now(UTC)
Holding = Callable[..., Hold]


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def _nobody(_: Recorded) -> None:
    pass


@pytest.fixture
def holding(client: Client) -> Iterator[Holding]:
    """Sets holds, and releases them at the end: a hold may cover what other tests store."""
    made: list[Hold] = []

    def hold(**covers: Any) -> Hold:
        given: dict[str, Any] = {"reason": "case 7", "by": "ann", "now": NOW, "record": _nobody}
        made.append(set_hold(client, **{**given, **covers}))
        return made[-1]

    client.command("SYSTEM STOP TTL MERGES audit.events")
    yield hold
    for one in made:
        release_hold(client, one.id, by="test", record=_nobody)


def _store(client: Client, account: str, *ages: float, **fields: Any) -> None:
    events = []
    for days in ages:
        when = days_ago(days)
        events.append(
            encode(enriched_event(account, **{"received_at": when, "occurred_at": when, **fields}))
        )
    Writer(client).insert(events, uuid7())


def _user(name: str) -> dict[str, str]:
    return {"type": "user", "id": name, "name": "Ann"}


def _rows(client: Client, account: str) -> list[tuple[str, bool]]:
    """Return who acted, and whether that is on hold, of all that is stored."""
    query = "SELECT actor_id, on_hold FROM audit.events WHERE account = %(account)s ORDER BY ALL"
    rows = client.query(query, parameters={"account": account}).result_rows
    return [(actor, bool(held)) for actor, held in rows]


def _held(client: Client, account: str) -> int:
    return sum(held for _, held in _rows(client, account))


def _expire(client: Client) -> None:
    client.command("SYSTEM START TTL MERGES audit.events")
    client.command("OPTIMIZE TABLE audit.events FINAL")
    client.command("OPTIMIZE TABLE audit.events FINAL")


def test_an_account_on_hold_keeps_stored_and_new_events(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    ours, other = f"{unique_prefix}o'urs", f"{unique_prefix}other"
    _store(client, ours, 900)
    _store(client, other, 900)
    hold = holding(account=ours)
    _store(client, ours, 800)
    assert (_held(client, ours), _held(client, other)) == (2, 0)
    _expire(client)
    assert (len(_rows(client, ours)), len(_rows(client, other))) == (2, 0)
    release_hold(client, hold.id, by="bob", record=_nobody)
    _store(client, ours, 0)
    assert _held(client, ours) == 0
    _expire(client)
    assert len(_rows(client, ours)) == 1


def test_a_user_on_hold_as_actor_acted_for_and_target(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    account, user = f"{unique_prefix}a", f'{unique_prefix}u"7\\%'
    _store(client, account, 900, actor=_user(user))
    helper = {"type": "service", "id": "helper", "on_behalf_of": {"type": "user", "id": user}}
    _store(client, account, 900, actor=helper)
    escaped = encode(enriched_event(account, received_at=days_ago(900), actor=helper | {"id": "e"}))
    assert user.startswith("t")
    escaped = escaped.replace(b'"id":"t', b'"id":"\\u0074')  # JSON allows it
    Writer(client).insert([escaped], uuid7())
    _store(client, account, 900, actor=_user("boss"), targets=[{"type": "user", "id": user}])
    named = [{"type": "user", "id": "x", "name": user}]  # a name is no id
    _store(client, account, 900, actor=_user("namer"), targets=named)
    _store(client, account, 900, actor=_user("stranger"), description=user)
    hold = holding(user=user)
    held = {"boss", "e", "helper", user}
    assert {actor for actor, on_hold in _rows(client, account) if on_hold} == held
    _store(client, account, 1, actor=_user(user), description="new")
    assert reconcile_holds(client) == 1
    assert reconcile_holds(client) == 0
    _expire(client)
    assert {actor for actor, _ in _rows(client, account)} == held
    assert len(_rows(client, account)) == 5
    release_hold(client, hold.id, by="bob", record=_nobody)
    _expire(client)
    assert _rows(client, account) == [(user, False)]  # the one of yesterday


def test_a_time_on_hold_from_its_first_to_before_its_last_moment(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    account = f"{unique_prefix}a"
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for number, when in enumerate(
        ("2025-12-31T23:59:59.999Z", "2026-01-01T00:00:00Z", "2026-01-31T23:59:59.999Z",
         "2026-02-01T00:00:00Z"),
    ):  # fmt: skip
        _store(client, account, 900, occurred_at=when, actor=_user(f"u{number}"),
               received_at=when)  # fmt: skip
    holding(since=moment, until=moment + timedelta(days=31))
    held = {actor for actor, on_hold in _rows(client, account) if on_hold}
    assert held == {"u1", "u2"}
    _expire(client)
    assert held <= {actor for actor, _ in _rows(client, account)}
    assert "u0" not in {actor for actor, _ in _rows(client, account)}


def test_a_combination_covers_what_all_its_parts_cover(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    account, other = f"{unique_prefix}a", f"{unique_prefix}b"
    holding(account=account, user="ann", since=NOW - timedelta(days=400))
    _store(client, account, 300, 500, actor=_user("ann"))
    _store(client, account, 300, actor=_user("bob"))
    _store(client, other, 300, actor=_user("ann"))
    # Until it is known better, nothing of the account may go.
    assert (_held(client, account), _held(client, other)) == (3, 0)
    _expire(client)
    assert len(_rows(client, account)) == 3
    reconcile_holds(client)
    assert _held(client, account) == 1
    _expire(client)
    assert _rows(client, account) == [("ann", True)]
    assert _rows(client, other) == []


def test_one_of_two_holds_is_released(client: Client, unique_prefix: str, holding: Holding) -> None:
    account = f"{unique_prefix}a"
    _store(client, account, 3, actor=_user("ann"))
    _store(client, account, 3, actor=_user("bob"))
    whole, _ann = holding(account=account), holding(account=account, user="ann")
    assert _held(client, account) == 2
    release_hold(client, whole.id, by="bob", record=_nobody)
    assert _rows(client, account) == [("ann", True), ("bob", False)]


def test_who_held_and_released_stays_on_record(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    recorded: list[Recorded] = []
    account = f"{unique_prefix}a"
    hold = holding(account=account, record=recorded.append)
    assert [one.id for one in list_holds(client) if one.account == account] == [hold.id]
    assert release_hold(client, hold.id, by="bob", record=recorded.append) is not None
    assert release_hold(client, hold.id, by="bob", record=recorded.append) is None
    assert [one for one in list_holds(client) if one.account == account] == []
    (kept,) = [one for one in hold_history(client) if one.id == hold.id]
    assert (kept.gone, kept.set_by, kept.changed_by, kept.reason) == (True, "ann", "bob", "case 7")
    assert [one.changes[0]["after"] for one in recorded] == [True, False]
    assert recorded[0].metadata == {"reason": "case 7", "covers": {"account": account}}


@pytest.mark.parametrize(
    ("covers", "words"),
    [
        ({}, "name an account"),
        ({"account": "a", "reason": " "}, "reason"),
        ({"since": NOW, "until": NOW}, "not before"),
    ],
)
def test_a_hold_that_says_too_little_is_refused(
    client: Client, covers: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"reason": "case", "by": "ann", "now": NOW, "record": _nobody}
    with pytest.raises(ValueError, match=words):
        set_hold(client, **{**given, **covers})


def test_what_cannot_be_recorded_is_not_held_or_released(
    client: Client, unique_prefix: str, holding: Holding
) -> None:
    def fail(_: Recorded) -> None:
        raise OSError("Kafka is down")

    account = f"{unique_prefix}a"
    with pytest.raises(OSError, match="Kafka"):
        holding(account=account, record=fail)
    assert [one for one in list_holds(client) if one.account == account] == []
    hold = holding(account=account)
    with pytest.raises(OSError, match="Kafka"):
        release_hold(client, hold.id, by="bob", record=fail)
    assert [one.id for one in list_holds(client) if one.account == account] == [hold.id]


def test_a_hold_set_while_another_process_reconciles_is_not_undone(
    client: Client, unique_prefix: str, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That one has read the holds before, and asks for its mutation after."""
    from auditbus.console.retention import holds

    account, other = f"{unique_prefix}a", f"{unique_prefix}b"
    stale = holding(account=other)
    _store(client, other, 300)
    release = threading.Event()
    seen = holds.list_holds

    def read_too_early(given: Client) -> list[Hold]:
        found = seen(given)
        if not release.is_set():
            release.set()
            _store(client, account, 300)
            holding(account=account)
        return found

    monkeypatch.setattr(holds, "list_holds", read_too_early)
    reconcile_holds(client)
    monkeypatch.undo()
    assert _rows(client, account) == [("u1", True)]
    _expire(client)
    assert (len(_rows(client, account)), len(_rows(client, other))) == (1, 1)
    assert stale.account == other


def test_holds_of_before_the_migration_stay(fresh_clickhouse: ClickHouse) -> None:
    with new_client(clickhouse_settings(fresh_clickhouse)) as client:
        user = dictionary_user(client)
        *before, last = (one for one in load_migrations() if one.version <= 8)
        migrate(client, dictionary_user=user, migrations=before)
        rows = [["held", True, "case 1"], ["released", False, "case 2"]]
        client.insert("audit.holds", rows, column_names=["account", "held", "reason"])
        migrate(client, dictionary_user=user, migrations=[*before, last])
        for statement in last.statements(dictionary_user=user):  # as after a failure half way
            client.command(statement)
        found = [(hold.account, hold.reason, hold.set_by) for hold in list_holds(client)]
        assert found == [("held", "case 1", "migration")]
        client.command("SYSTEM RELOAD DICTIONARY audit.hold_by_account")
        _store(client, "held", 1)
        assert reconcile_holds(client) == 0
        assert _held(client, "held") == 1
