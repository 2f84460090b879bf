"""Tokens, grants, organizations and viewer keys through the API, on the real engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from joserfc.jwk import OKPKey

from auditbus.producers.testing import RecordingProducer
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def _store(store: Client, *accounts: str, actor: str = "u1") -> None:
    events = [
        enriched_event(account, actor={"type": "user", "id": actor, "name": actor})
        for account in accounts
    ]
    Writer(store).insert([encode(event) for event in events], f"test:{events[0]['id']}")


def _accounts(client: Any, **parameters: str) -> set[str]:
    answer = client.get("/api/v1/events", params=parameters)
    assert answer.status_code == 200, answer.text
    return {event["account"]["id"] for event in answer.json()["events"]}


def test_a_token_sees_what_it_was_granted_and_is_gone_when_revoked(
    store: Client, unique_prefix: str
) -> None:
    ours, theirs = f"{unique_prefix}ours", f"{unique_prefix}theirs"
    _store(store, ours, theirs)
    producer = RecordingProducer()
    app = console_app(store, producer)
    with program(app) as administrator:
        made = administrator.post(
            "/api/v1/tokens", json={"name": "reports", "accounts": [ours], "expires_in_days": 1}
        )
        assert made.status_code == 201, made.text
        token = made.json()
        assert token["token"].startswith("abt_")
        listed = administrator.get("/api/v1/tokens").json()["tokens"]
        (shown,) = [one for one in listed if one["id"] == token["id"]]
        assert token["token"] not in administrator.get("/api/v1/tokens").text
        assert "secret_hash" not in shown
        assert shown["last_used_at"] is None
        reports = program(app, token["token"])
        assert _accounts(reports) == {ours}
        assert _accounts(reports, account=theirs) == set()
        assert reports.get("/api/v1/tokens").status_code == 403
        listed = administrator.get("/api/v1/tokens").json()["tokens"]
        assert [one["last_used_at"] for one in listed if one["id"] == token["id"]] != [None]
        assert administrator.delete(f"/api/v1/tokens/{token['id']}").status_code == 204
        assert reports.get("/api/v1/events").status_code == 401
        assert administrator.delete(f"/api/v1/tokens/{token['id']}").status_code == 404
    created = producer.assert_recorded(
        action="TokenCreated",
        account={"id": "auditbus"},
        actor={"id": "token:administrator"},
        targets=[{"type": "api_token", "id": token["id"], "name": "reports"}],
    )
    assert {"field": "accounts", "before": None, "after": [ours]}.items() <= next(
        change.items() for change in created["changes"] if change["field"] == "accounts"
    )
    producer.assert_recorded(action="TokenRevoked", targets=[{"id": token["id"]}])
    producer.assert_recorded(
        action="AccessRefused",
        actor={"id": f"token:{token['id']}"},
        error={"message": "Only administrators may do this."},
        metadata={"count": 1},
    )
    assert token["token"] not in str(producer.events)


def test_an_auditor_sees_the_accounts_of_its_organizations(
    store: Client, unique_prefix: str
) -> None:
    one, two, other = (f"{unique_prefix}{name}" for name in ("one", "two", "other"))
    _store(store, one, two, other)
    organization = f"{unique_prefix}/org & co"
    app = console_app(store)
    with program(app) as administrator:
        asked = {"name": organization, "accounts": [one]}
        assert administrator.post("/api/v1/organizations", json=asked).status_code == 204

        def new_token(role: str) -> str:
            answer = administrator.post(
                "/api/v1/tokens",
                json={"name": role, "role": role, "organizations": [organization]},
            )
            assert answer.status_code == 201, answer.text
            return str(answer.json()["token"])

        auditor = program(app, new_token("auditor"))
        assert _accounts(auditor) == {one}
        assert _accounts(program(app, new_token("member"))) == set()
        asked["accounts"] = [one, two]
        assert administrator.post("/api/v1/organizations", json=asked).status_code == 204
        assert _accounts(auditor) == {one, two}
        listed = administrator.get("/api/v1/organizations").json()["organizations"]
        assert [one["accounts"] for one in listed if one["name"] == organization] == [[one, two]]
        gone = administrator.delete(f"/api/v1/organizations/{organization.replace('/', '%2F')}")
        assert gone.status_code == 204
        assert _accounts(auditor) == set()


def test_what_is_wrong_is_refused_by_its_field(store: Client) -> None:
    private = OKPKey.generate_key("Ed25519")
    x25519 = OKPKey.generate_key("X25519")
    with program(console_app(store)) as administrator:
        for path, body, field in [
            ("tokens", {"name": ""}, "name"),
            ("tokens", {"name": "a\nb"}, "name"),
            ("tokens", {"name": "a\u202eb"}, "name"),
            ("tokens", {"name": "a", "role": "root"}, "role"),
            ("tokens", {"name": "a", "expires_in_days": 0}, "expires_in_days"),
            ("tokens", {"name": "a", "expires_in_days": 10_000}, "expires_in_days"),
            ("tokens", {"name": "a", "secret_hash": "x"}, "secret_hash"),
            ("tokens", {"name": "a", "organizations": ["no such"]}, "organizations"),
            ("grants", {"subject": "a", "organizations": ["no such"]}, "organizations"),
            ("grants", {"subject": "x" * 300}, "subject"),
            ("organizations", {"name": "a", "accounts": [""]}, "accounts.0"),
            ("viewer-keys", {"issuer": "a", "public_key": "x"}, "public_key"),
            ("viewer-keys", {"issuer": "a", "public_key": "{}"}, "public_key"),
            (
                "viewer-keys",
                {"issuer": "a", "public_key": private.as_pem(private=True).decode()},
                "public_key",
            ),
            (
                "viewer-keys",
                {"issuer": "a", "public_key": x25519.as_pem(private=False).decode()},
                "public_key",
            ),
            (
                "viewer-keys",
                {"issuer": "a", "public_key": "x", "role": "administrator"},
                "role",
            ),
        ]:
            answer = administrator.post(f"/api/v1/{path}", json=body)
            assert answer.status_code == 422, (path, body, answer.text)
            assert answer.json()["field"] == field, (path, body, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"


def test_grants_are_changed_and_taken_back_and_every_step_is_recorded(
    store: Client, unique_prefix: str
) -> None:
    producer, subject = RecordingProducer(), f"{unique_prefix}auth0|ann/1"
    with program(console_app(store, producer)) as administrator:
        for role in ("member", "auditor"):
            asked = {"subject": subject, "role": role, "accounts": ["acme"], "actor_id": "u-7"}
            assert administrator.post("/api/v1/grants", json=asked).status_code == 204
        listed = administrator.get("/api/v1/grants").json()["grants"]
        (shown,) = [grant for grant in listed if grant["subject"] == subject]
        assert (shown["role"], shown["accounts"], shown["actor_id"]) == ("auditor", ["acme"], "u-7")
        path = f"/api/v1/grants/{subject.replace('/', '%2F').replace('|', '%7C')}"
        assert administrator.delete(path).status_code == 204
        assert administrator.delete(path).status_code == 404
        assert subject not in administrator.get("/api/v1/grants").text
    producer.assert_recorded(action="GrantCreated", targets=[{"id": subject}])
    producer.assert_recorded(
        action="GrantUpdated", changes=[{"field": "role", "before": "member", "after": "auditor"}]
    )
    producer.assert_recorded(action="GrantDeleted")
    rows = store.query(
        "SELECT count() FROM audit.grants WHERE subject = {s:String}", parameters={"s": subject}
    ).result_rows
    assert rows == [(3,)], "the history stays"
