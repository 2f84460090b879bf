"""The view that fills audit.events: every field arrives, and no wrong type becomes a default."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.sinks.clickhouse.error_codes import ServerCode, Verdict
from auditbus.sinks.clickhouse.writer import InsertFailed, Writer
from tests.backends.parts import ClickHouse
from tests.store import days_ago, encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def client(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


def store(client: Client, *values: bytes) -> None:
    Writer(client).insert(values, f"test:{hash(values)}")


def rows_of(client: Client, account: str) -> list[dict[str, Any]]:
    result = client.query(
        "SELECT * FROM audit.log WHERE account = %(account)s ORDER BY id",
        parameters={"account": account},
    )
    return list(result.named_results())


def test_every_field_has_its_column(client: Client, account: str) -> None:
    event = enriched_event(account, error={"code": "E42", "message": "quota exceeded"})
    value = encode(event)
    store(client, value)
    (row,) = rows_of(client, account)
    assert str(row["id"]) == event["id"]
    assert row["account"] == account
    assert row["account_name"] == "Acme Inc."
    assert row["action"] == "StorageDeleted"
    assert (row["category"], row["operation"]) == ("storage", "delete")
    assert row["description"] == "deleted storage backups"
    assert row["outcome"] == "failure"
    assert (row["actor_type"], row["actor_id"]) == ("user", "u1")
    assert (row["actor_name"], row["actor_email"]) == ("Ann", "ann@example.org")
    assert row["targets"] == "storage backups s1"
    assert row["ip"].ipv4_mapped.compressed == row["ip_text"] == "81.2.69.142"
    assert row["user_agent"] == "curl/8.0"
    assert (row["country_code"], row["country"]) == ("GB", "United Kingdom")
    assert (row["region"], row["city"]) == ("England", "London")
    assert row["location"] == "London, United Kingdom"
    assert (row["device"], row["device_type"], row["os"], row["browser"]) == (
        "curl 8.0",
        "tool",
        "",
        "curl",
    )
    assert (row["error_code"], row["error_message"]) == ("E42", "quota exceeded")
    assert (row["origin_partition"], row["origin_offset"]) == (3, 42)
    assert (row["retention_days"], row["on_hold"]) == (180, False)
    assert row["event"].encode() == value


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "success"),
        ({"outcome": None, "error": None}, "success"),
        ({"error": {}}, "failure"),
        ({"error": {"message": "x"}}, "failure"),
        ({"error": {"message": "x"}, "outcome": "success"}, "success"),
        ({"outcome": "unknown"}, "unknown"),
    ],
)
def test_outcome_is_the_effective_one(
    client: Client, account: str, fields: dict[str, Any], outcome: str
) -> None:
    store(client, encode(enriched_event(account, **fields)))
    assert [row["outcome"] for row in rows_of(client, account)] == [outcome]


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ("2001:db8::1", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("10.1.2.3:8080", "::ffff:10.1.2.3"),
        ("::ffff:10.1.2.3", "::ffff:10.1.2.3"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", "::"),
        ("8.8.8", "::"),
        (None, "::"),
    ],
)
def test_an_address_is_searchable_however_it_was_written(
    client: Client, account: str, sent: str | None, found: str
) -> None:
    store(client, encode(enriched_event(account, context={"ip": sent})))
    query = "SELECT toString(ip), ip_text FROM audit.log WHERE account = %(account)s"
    rows = client.query(query, parameters={"account": account}).result_rows
    assert rows == [(found, sent or "")]


@pytest.mark.parametrize(
    "fields",
    [
        {"description": None, "targets": None, "context": None, "actor": None, "error": None},
        {"description": ..., "targets": ..., "context": ..., "actor": ..., "location": {}},
        {"targets": []},
        {"targets": [{"id": None, "name": None}, {"type": "a", "more": {"id": 5}}, {}]},
        {"metadata": {"id": 5, "name": True, "error": 1, "targets": 2, "offset": "x"}},
        {"actor": {"type": "user", "id": "42", "credential": {"type": None}, "name": "{}"}},
        {"changes": [{"field": "f", "before": {"id": 1}, "after": [1]}], "description": "true"},
        {"description": '"id": 5, {"account": 7', "producer": {"name": 5, "seq": 1}},
        {"description": 'tab\t nul\u0000 quote" \\u0041 \u2028 日本語 🙂'},
        {"metadata": {"deep": [[[[{"id": [{"id": 1}]}]]]]}},
        {"more": {"account": 7}, "context": {"client_hints": {"ip": "x"}, "extra": {"ip": 4}}},
    ],
)
def test_nulls_and_unknown_fields_are_welcome(
    client: Client, account: str, fields: dict[str, Any]
) -> None:
    value = encode(enriched_event(account, **fields))
    escaped = json.dumps(json.loads(value) | enriched_event(account, **fields)).encode()
    store(client, value)
    assert [row["event"].encode() for row in rows_of(client, account)] == [value]
    store(client, escaped)  # the same refused in no other spelling
    assert rows_of(client, account)


@pytest.mark.parametrize(
    "fields",
    [
        {"error.code": 500, "actor.id": 42, "location.city": None, "origin.offset": "x"},
        {"id:x": 7, "account:": 7, "targets[]": {"id": 7}, "targets[].id": 7},
        {"actor": {"type": "user", "id:": 7}, "targets": [{"id": "s1", "id:": 7}]},
    ],
)
def test_an_unknown_field_whose_name_reads_like_a_path_is_welcome(
    client: Client, account: str, fields: dict[str, Any]
) -> None:
    """Flattened names were taken for members where another field made the types be judged."""
    value = encode(enriched_event(account, metadata={"id": 5}, **fields))
    store(client, value)
    assert [row["event"].encode() for row in rows_of(client, account)] == [value]


def test_whitespace_and_newlines_are_one_row(client: Client, account: str) -> None:
    value = json.dumps(enriched_event(account), indent=2).encode() + b" \n"
    store(client, value, encode(enriched_event(account)))
    assert value in [row["event"].encode() for row in rows_of(client, account)]
    assert len(rows_of(client, account)) == 2


STRINGS = [
    "id",
    "occurred_at",
    "received_at",
    "action",
    "category",
    "operation",
    "description",
    "outcome",
    "account.id",
    "account.name",
    "actor.type",
    "actor.id",
    "actor.name",
    "actor.email",
    "context.ip",
    "context.user_agent",
    "location.country_code",
    "location.country",
    "location.region",
    "location.city",
    "location.label",
    "device.type",
    "device.label",
    "device.os",
    "device.browser",
    "error.code",
    "error.message",
]
OBJECTS = ["account", "actor", "context", "location", "device", "error", "origin"]
WRONG_STRINGS = [1795384800, -1.5, False, [], {"a": "b"}]


def with_value(account: str, path: str, value: Any) -> bytes:
    event = enriched_event(account, error={"code": "E"})
    *parents, name = path.split(".")
    place = event
    for parent in parents:
        place = place[parent]
    place[name] = value
    return encode(event)


def refused(client: Client, value: bytes) -> InsertFailed:
    with pytest.raises(InsertFailed) as caught:
        store(client, value)
    assert caught.value.verdict is Verdict.POISON, caught.value
    return caught.value


@pytest.mark.parametrize("path", STRINGS)
def test_a_wrong_type_for_text_is_refused(client: Client, account: str, path: str) -> None:
    for wrong in WRONG_STRINGS:
        refused(client, with_value(account, path, wrong))
    # The name may hide in an escape, and space may stand around the colon.
    name = path.rsplit(".", 1)[-1]
    escaped = f"\\u{ord(name[0]):04x}{name[1:]}"
    for hidden in (f'"{escaped}":', f'"{name}" : '):
        plain = with_value(account, path, 7)
        refused(client, plain.replace(f'"{name}":'.encode(), hidden.encode()))
    assert rows_of(client, account) == []


@pytest.mark.parametrize("path", OBJECTS)
def test_a_wrong_type_for_an_object_is_refused(client: Client, account: str, path: str) -> None:
    for wrong in ["text", '{"id":"x"}', 7, True, [], ["user", "u1"], [{"id": "x"}]]:
        refused(client, with_value(account, path, wrong))
    assert rows_of(client, account) == []


@pytest.mark.parametrize(
    "wrong",
    [
        "text",
        7,
        {"id": "x"},
        ["x"],
        [7],
        [["storage", "s1"]],
        [{"id": "a"}, []],
        [{"id": "a"}, 7],
        [None],
        [{"id": 7}],
        [{"id": "a"}, {"name": ["x"]}],
        [{"type": {}}],
    ],
)
def test_wrong_targets_are_refused(client: Client, account: str, wrong: Any) -> None:
    refused(client, encode(enriched_event(account, targets=wrong)))


@pytest.mark.parametrize(
    "origin",
    [
        {"partition": "3", "offset": 4},
        {"partition": 3, "offset": 1.5},
        {"partition": 3, "offset": -1},
        {"partition": 3, "offset": True},
        {"partition": 3, "offset": None},
        {"partition": 3},
        {},
        None,
        ...,
    ],
)
def test_a_wrong_origin_is_refused(client: Client, account: str, origin: Any) -> None:
    refused(client, encode(enriched_event(account, origin=origin)))


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "zzz"},
        {"id": None},
        {"action": ...},
        {"account": ...},
        {"account": {"name": "no id"}},
        {"account": {"id": ""}},
        {"occurred_at": "soon"},
        {"occurred_at": "1970-01-01T00:00:00Z"},
        {"occurred_at": "2100-01-01T00:00:00Z"},
        {"received_at": ...},
        {"outcome": "maybe"},
    ],
)
def test_what_is_missing_or_impossible_is_refused(
    client: Client, account: str, fields: dict[str, Any]
) -> None:
    refused(client, encode(enriched_event(account, **fields)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"pro"', "NaN"),
        ('"pro"', "1e400"),
        ('"pro"', '"\\ud800"'),
        ('"pro"', '"\u0001"'),
        ('"pro"', "[" * 2000 + "]" * 2000),
        ('{"id"', '{"id'),
        ('{"id"', '[{"id"'),
        ('{"id"', '\ufeff{"id"'),
    ],
)
def test_what_the_parser_cannot_read_is_refused(
    client: Client, account: str, old: str, new: str
) -> None:
    value = encode(enriched_event(account)).decode()
    assert old in value
    refused(client, value.replace(old, new, 1).encode())


def test_broken_utf8_is_refused(client: Client, account: str) -> None:
    refused(client, encode(enriched_event(account)).replace(b"Ann", b"A\xffn"))


@pytest.mark.parametrize("value", [b"[]", b"7", b'"text"', b"{}", b"null", b" ", b"\n", b"{} {}"])
def test_what_is_no_event_is_refused(client: Client, value: bytes) -> None:
    refused(client, value)


def test_two_events_in_one_record_are_not_taken_apart(client: Client, account: str) -> None:
    event = encode(enriched_event(account))
    for value in (event + event, event + b"\n" + event, b"[" + event + b"," + event + b"]"):
        refused(client, value)


def test_a_truncated_record_does_not_swallow_its_neighbour(client: Client, account: str) -> None:
    """As JSON alone the two would be one good object."""
    first = encode(enriched_event(account))[:-1] + b',"more":'
    refused(client, first)
    with pytest.raises(InsertFailed):
        store(client, first, b"1}")
    assert rows_of(client, account) == []


def test_what_is_refused_is_not_quoted(client: Client, account: str) -> None:
    for field in ("id", "occurred_at", "outcome", "description"):
        failure = refused(client, with_value(account, field, ["Q7secret@example.org"]))
        assert "secret" not in failure.text + failure.reason
    failure = refused(client, encode(enriched_event(account, id="Q7secret@example.org")))
    assert "secret" not in failure.text + failure.reason


def test_dates_far_apart_are_one_insert(client: Client, account: str) -> None:
    """Fault 13: months in one batch, and nine years back and ahead."""
    values = [
        encode(enriched_event(account, occurred_at=days_ago(30.5 * month)))
        for month in range(-108, 109, 2)
    ]
    store(client, *values)
    assert len(rows_of(client, account)) == len(values) > 100


def test_text_is_found_by_its_words(client: Client, account: str) -> None:
    store(client, encode(enriched_event(account, description="Gelöscht: Ärger mit repo-17")))
    store(client, encode(enriched_event(account)))
    client.command("OPTIMIZE TABLE audit.events FINAL")
    query = (
        "SELECT count() FROM audit.log "
        "WHERE account = %(account)s AND hasAllTokens(search_text, %(text)s)"
    )
    for text, found in (("ärger repo", 1), ("ann example", 2), ("storage s1 london", 2), ("x", 0)):
        parameters = {"account": account, "text": text}
        assert client.query(query, parameters=parameters).result_rows == [(found,)], text
    plan = client.query(
        "EXPLAIN indexes = 1 SELECT count() FROM audit.log WHERE hasAllTokens(search_text, 'ärger')"
    ).result_rows
    assert any("search_words" in line for (line,) in plan)


def test_the_codes_have_the_servers_own_names(client: Client) -> None:
    for code in ServerCode:
        rows = client.query(f"SELECT errorCodeToName({code.value})").result_rows
        assert rows == [(code.name,)]
