"""Parameters, paths, bodies and events are hostile: what comes back is text, or a refusal."""

from collections.abc import Iterator
from itertools import cycle
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from auditbus.sinks.clickhouse.writer import Writer
from tests.attackable import Answer, Running, Tenant, attackable
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR
from tests.routes import KnownRoute
from tests.store import encode, enriched_event, migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture(scope="module")
def running(store: Client) -> Iterator[Running]:
    with attackable(store) as made:
        yield made


_PAYLOADS = (
    "') OR 1=1 --",
    "\\' UNION SELECT * FROM audit.api_tokens --",
    '"><zqx onload=alert(1)>',
    "'><zqx>{{31337*3}}${31337*3}<%= 31337*3 %>",
    "</script><zqx>",
    "x\r\nzq-injected: 1",
    "\x00\x1b[31m\u202e",
    "{seen_accounts:Array(String)}%(x)s%s",
    "../../../../etc/passwd",
    "9" * 400,
    "🙂" * 50,
    "-1",
    "",
)


def _parameter_names(app: FastAPI) -> list[str]:
    names = {"next", "state", "code", "q", "tz", "zone", "range", "signed-out", "older_than"}
    for operations in app.openapi()["paths"].values():
        for operation in operations.values():
            names |= {item["name"] for item in operation.get("parameters", ())}
    return sorted(names)


def _check_harmless(answer: Answer, asked: object) -> None:
    assert answer.status < 500, (asked, answer)
    assert "zq-injected" not in {name.lower() for name in answer.headers}, asked
    assert "94011" not in answer.text, (asked, "a template was filled in twice")
    assert "secret_hash" not in answer.text, asked
    if answer.headers.get("content-type", "").startswith("text/html"):
        assert "<zqx" not in answer.text, (asked, "HTML was not escaped")
    for name in ("content-security-policy", "x-content-type-options"):
        assert name in {found.lower() for found in answer.headers}, asked


def test_no_parameter_is_more_than_text(running: Running) -> None:
    payloads = cycle(_PAYLOADS)
    names = _parameter_names(running.app)
    for route in running.routes:
        if route.method != "GET":
            continue
        for name in names:
            for _ in range(2):
                payload = next(payloads)
                answer = running.ask(route, ADMINISTRATOR, params={name: payload})
                _check_harmless(answer, (route, name, payload))


def test_no_part_of_a_path_is_more_than_text(running: Running) -> None:
    for route in running.routes:
        if "{" not in route.path:
            continue
        for payload in _PAYLOADS:
            path = route.path
            while "{" in path:
                before, _, rest = path.partition("{")
                path = before + quote(payload or "x", safe="") + rest.partition("}")[2]
            answer = running.ask(KnownRoute(route.method, path), ADMINISTRATOR)
            _check_harmless(answer, (route, payload))


def test_no_field_of_a_body_is_more_than_text(running: Running) -> None:
    fields = ("name", "subject", "issuer", "public_key", "role", "actor_id", "token", "next")
    for route in running.routes:
        if route.method not in {"POST", "PUT", "PATCH"}:
            continue
        running.app.state.services.access.credentials.attempts._failures.clear()
        for name in fields:
            for payload in _PAYLOADS:
                answer = running.ask(
                    route, ADMINISTRATOR, json={"name": "x", "accounts": [payload], name: payload}
                )
                _check_harmless(answer, (route, name, payload))
        for name in ("token", "next"):
            for payload in _PAYLOADS[:8]:
                running.app.state.services.access.credentials.attempts._failures.clear()
                answer = running.ask(
                    route, None, json=None, data={name: payload, "token": ADMINISTRATOR}
                )
                _check_harmless(answer, (route, name, payload))
                location = answer.headers.get("location", "/")
                assert location.startswith("/"), (route, payload)
                assert not location.startswith(("//", "/\\")), (route, payload)
        for body in (b"{", b"\xff", b"[]", b"null", b'{"name": ' + b"[" * 5_000, b"9" * 5_000):
            answer = running.ask(
                route, ADMINISTRATOR, json=None, data=body,
                headers={"content-type": "application/json"},
            )  # fmt: skip
            _check_harmless(answer, (route, body[:20]))


def test_hostile_events_are_shown_as_text(running: Running, store: Client) -> None:
    hostile = "\"'><zqx onmouseover=alert(1)></script></td>{{31337*3}}\u202e\r\nzq-injected: 1"
    account = f"hostile-{running.ours.account}"
    event = enriched_event(
        account,
        account={"id": account, "name": hostile},
        actor={"type": "user", "id": hostile, "name": hostile, "email": hostile,
               "credential": {"type": "token", "id": hostile},
               "on_behalf_of": {"type": "user", "id": hostile, "name": hostile}},
        targets=[{"type": hostile, "id": hostile, "name": hostile}],
        description=hostile,
        error={"code": hostile, "message": hostile},
        context={"ip": hostile, "user_agent": hostile, "request_id": hostile,
                 "session_id": hostile, "trace_id": hostile},
        category=hostile,
        operation=hostile,
        location={"country_code": "<z", "country": hostile, "label": hostile, "city": hostile},
        device={"type": hostile, "label": hostile, "browser": hostile, "os": hostile},
        metadata={"<zqx>": hostile, "url": "javascript:alert(1)"},
        changes=[{"field": hostile, "before": hostile, "after": {hostile: [hostile]}}],
        **{"<zqx unknown>": hostile},
    )  # fmt: skip
    Writer(store).insert([encode(event)], f"test:{event['id']}")
    theirs, running.theirs = running.theirs, Tenant(account, "hostile", event)
    try:
        shown = 0
        for route in running.routes:
            if route.method != "GET":
                continue
            answer = running.ask(route, ADMINISTRATOR, params={"account": account})
            _check_harmless(answer, route)
            if answer.headers.get("content-type", "").startswith("text/html"):
                shown += "&lt;zqx" in answer.text
                assert 'href="javascript:' not in answer.text, route
        assert shown, "no page shows the event: this test proves nothing"
    finally:
        running.theirs = theirs
