"""Every route, asked by everyone who may not: enumerated, so that no new one is forgotten.

Two tenants have events. Nobody but who may see the other's ever finds a trace of it, whatever is
asked for and however.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any
from urllib.parse import quote

import pytest
import requests
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from auditbus.console.access import Role
from auditbus.console.access.records import ApiToken
from auditbus.console.access.register import Register
from auditbus.console.access.secret import new_token, secret_hash
from auditbus.console.access.sign_ins import token_id
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, ORIGIN, console_app, program, serving
from tests.identity.forging import compact, hmac_sha256
from tests.identity.viewers import Backend
from tests.routes import KnownRoute, every_route
from tests.store import encode, enriched_event, migrated_client

# The only pages that anybody may ask for. A new route that is not among them must refuse.
_PUBLIC = {
    *("/healthz", "/readyz", "/metrics", "/openapi.json", "/embed", "/sign-out"),
    *("/sign-in", "/sign-in/sign-in.js", "/sign-in/sign-in.css"),
    *("/sign-in/oidc", "/sign-in/oidc/callback"),
}
_PUBLIC_FILES = ("/static/", "/favicon.ico")
_ADMINISTRATORS_ONLY = tuple(
    f"/api/v1/{name}" for name in ("tokens", "grants", "organizations", "viewer-keys")
)
# What readers may do too: to ask for a file of what they see, but not with a body, as here.
_READERS_MAY = {KnownRoute("POST", "/api/v1/exports"): {400}}
_READ_S = 0.6  # how long a stream is listened to
_MAX_READ_BYTES = 512 * 1024
_MARKS = ("zqours", "zqtheirs")


@dataclass
class Tenant:
    """An account, one of its events, and the mark that stands in every text of it."""

    account: str
    mark: str
    event: dict[str, Any] = field(default_factory=dict)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Running:
    url: str
    app: FastAPI
    register: Register
    ours: Tenant
    theirs: Tenant
    tokens: dict[str, str]
    backend: Backend

    @property
    def routes(self) -> list[KnownRoute]:
        return every_route(self.app)

    @property
    def guarded(self) -> list[KnownRoute]:
        return [
            route
            for route in self.routes
            if route.path not in _PUBLIC and not route.path.startswith(_PUBLIC_FILES)
        ]

    def ask(self, route: KnownRoute, token: str | None, **options: Any) -> Answer:
        """Ask as a program, for something of the other tenant; read streams for a moment."""
        headers = {"accept": "text/html", **options.pop("headers", {})}
        if token is not None:
            headers["authorization"] = f"Bearer {token}"
        if route.method != "GET":
            options.setdefault("json", {"name": "x", "subject": "x", "accounts": []})
        with requests.request(
            route.method,
            self.url + self.path(route),
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(5, 20),
            **options,
        ) as response:
            return Answer(response.status_code, dict(response.headers), _read(response))

    def path(self, route: KnownRoute) -> str:
        parts = []
        for part in route.path.split("/"):
            name = part.strip("{}").partition(":")[0]
            filled = {
                "token_id": token_id(self.tokens["auditor"]),
                "key_id": self.backend.kid,
                "name": "organization",
                "subject": "subject",
                "version": "1",
            }.get(name, self.theirs.event["id"])
            parts.append(filled if part.startswith("{") else part)
        return "/".join(parts)


def _read(response: requests.Response) -> str:
    """Return the body; of a stream, what came within a moment."""
    is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
    if not is_stream:
        return response.content[:_MAX_READ_BYTES].decode("utf-8", "replace")
    body, deadline = b"", time.monotonic() + _READ_S
    response.raw._fp.fp.raw._sock.settimeout(_READ_S)  # type: ignore[union-attr]
    try:
        while time.monotonic() < deadline and (chunk := response.raw.read1(65536)):
            body += chunk
    except (TimeoutError, requests.RequestException, OSError):
        pass
    except Exception as error:
        if "timed out" not in str(error):
            raise
    return body.decode("utf-8", "replace")


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def _tenant(store: Client, account: str, mark: str) -> Tenant:
    event = enriched_event(
        account,
        account={"id": account, "name": f"{mark} account"},
        action=f"Did{mark}",
        actor={"type": "user", "id": f"{mark}-1", "name": f"{mark} name", "email": f"{mark}@x.org"},
        targets=[{"type": "storage", "id": f"{mark}-t", "name": f"{mark} target"}],
        description=f"{mark} description",
        error={"code": f"E-{mark}", "message": f"{mark} error"},
        context={"ip": "203.0.113.7", "user_agent": f"{mark} agent", "request_id": f"{mark}-r"},
        category=f"{mark}_category",
        location={"country_code": "GB", "country": f"{mark} land", "label": f"{mark} place"},
        device={"type": f"{mark} type", "label": f"{mark} device", "browser": f"{mark} b"},
        metadata={"secret": f"{mark} metadata"},
        changes=[{"field": "x", "before": f"{mark} before", "after": f"{mark} after"}],
    )
    Writer(store).insert([encode(event)], f"test:{event['id']}")
    return Tenant(account, mark, event)


def _api_token(register: Register, **granted: Any) -> str:
    now = datetime.now(UTC)
    values = {"role": "member", "name": "test", "expires_at": now + timedelta(days=1), **granted}
    secret = new_token()
    register.tokens.put(
        ApiToken(
            id=token_id(secret),
            secret_hash=secret_hash(secret),
            created_at=now,
            created_by="test",
            **values,
        )
    )
    return secret


@pytest.fixture(scope="module")
def running(store: Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    unique = uuid7()[-8:]
    ours = _tenant(store, f"ours-{unique}", f"{_MARKS[0]}{unique}")
    theirs = _tenant(store, f"theirs-{unique}", f"{_MARKS[1]}{unique}")
    app = console_app(store)
    register = app.state.services.access.register
    backend = Backend()
    with program(app) as administrator:
        backend.register(administrator, role="auditor", accounts=[ours.account])
        made = {"name": f"org-{unique}", "accounts": [ours.account]}
        assert administrator.post("/api/v1/organizations", json=made).status_code == 204
    past = datetime.now(UTC) - timedelta(seconds=1)
    tokens = {
        "nobody": _api_token(register),
        "member": _api_token(register, accounts=(ours.account,), actor_id=f"{ours.mark}-1"),
        "auditor": _api_token(register, role=Role.AUDITOR, organizations=(f"org-{unique}",)),
        "viewer": backend.token(
            role="auditor", accounts=[ours.account], actor_id=f"{theirs.mark}-1"
        ),
        "expired": _api_token(register, expires_at=past, role=Role.ADMINISTRATOR),
        "revoked": _api_token(register, role=Role.ADMINISTRATOR, gone=True),
    }
    with serving(app) as url:
        yield Running(url, app, register, ours, theirs, tokens, backend)


_READERS = ("nobody", "member", "auditor", "viewer")


def test_who_sends_no_token_gets_nothing_anywhere(running: Running) -> None:
    assert len(running.guarded) >= 10
    for route in running.guarded:
        answer = running.ask(route, None)
        if answer.status == 303:
            assert route.method == "GET", route
            assert answer.headers["location"].startswith("/sign-in"), route
        else:
            assert answer.status == 401, route
            assert answer.headers["content-type"] == "application/problem+json", route
        assert not any(mark in answer.text for mark in _MARKS), route


def test_a_public_page_shows_nothing_of_the_log(running: Running) -> None:
    for route in running.routes:
        if route not in running.guarded and route.method == "GET":
            answer = running.ask(route, None)
            assert not any(mark in answer.text for mark in _MARKS), route
            assert answer.status < 500, route


def _bad_tokens(running: Running) -> dict[str, str]:
    backend, other = running.backend, Backend()
    good = running.tokens["member"]
    claims = backend.claims(role="auditor", accounts=[running.ours.account])
    public = backend.key.as_dict(private=False)
    tampered = backend.token(role="member").split(".")
    tampered[1] = backend.token(role="auditor", accounts=[running.ours.account]).split(".")[1]
    confused = {"alg": "HS256", "kid": backend.kid}
    now = int(time.time())
    return {
        "expired": running.tokens["expired"],
        "revoked": running.tokens["revoked"],
        "tampered": good[:-1] + ("a" if good[-1] != "a" else "b"),
        "case": good.swapcase(),
        "the hash": secret_hash(good),
        "the id": token_id(good),
        "foreign": new_token(),
        "prefix": "abt_",
        "administrator's beginning": ADMINISTRATOR[:-1],
        "administrator and more": f"{ADMINISTRATOR}x",
        "wildcard": "abt_%",
        "SQL": "abt_' OR 1=1 --",
        "viewer: alg none": compact({"alg": "none", "kid": backend.kid}, claims, lambda _: b""),
        "viewer: alg None": compact({"alg": "None", "kid": backend.kid}, claims, lambda _: b""),
        "viewer: HS256 by the public key": compact(
            confused, claims, hmac_sha256(backend.key.as_pem(private=False))
        ),
        "viewer: HS256 by the key's x": compact(
            confused, claims, hmac_sha256(str(public["x"]).encode())
        ),
        "viewer: HS256 by nothing": compact(confused, claims, hmac_sha256(b"")),
        "viewer: tampered": ".".join(tampered),
        "viewer: another's key": Backend(kid=backend.kid).token(),
        "viewer: no such kid": other.token(kid="0" * 16),
        "viewer: no kid": backend.token(kid=""),
        "viewer: path as kid": backend.token(kid="../../dev/null"),
        "viewer: SQL as kid": backend.token(kid="' OR 1=1 --"),
        "viewer: key in the header": compact(
            {"alg": "EdDSA", "jwk": other.key.as_dict(private=False), "kid": backend.kid},
            claims,
            lambda _: b"\0" * 64,
        ),
        "viewer: wrong aud": backend.token(aud="https://other.example.com"),
        "viewer: no aud": backend.token(aud=...),
        "viewer: wrong iss": backend.token(iss="https://other.example.com"),
        "viewer: no iss": backend.token(iss=...),
        "viewer: no exp": backend.token(exp=...),
        "viewer: no iat": backend.token(iat=...),
        "viewer: no sub": backend.token(sub=...),
        "viewer: expired": backend.token(iat=now - 600, exp=now - 1),
        "viewer: for an hour": backend.token(exp=now + 3600),
        "viewer: from the future": backend.token(iat=now + 3600, exp=now + 3900),
        "viewer: not yet": backend.token(nbf=now + 3600),
        "viewer: exp is NaN": backend.token(exp=float("nan")),
        "viewer: exp is text": backend.token(exp="9999999999"),
        "viewer: exp is endless": backend.token(exp=float("inf")),
        "viewer: administrator": backend.token(role="administrator"),
        "viewer: no such role": backend.token(role="root"),
        "viewer: role is a list": backend.token(role=["auditor"]),
        "viewer: another's account": backend.token(accounts=[running.theirs.account]),
        "viewer: one of another's": backend.token(
            accounts=[running.ours.account, running.theirs.account]
        ),
        "viewer: accounts is text": backend.token(accounts=running.ours.account),
        "viewer: accounts is a star": backend.token(accounts=["*"]),
        "viewer: actor is no text": backend.token(actor_id={"$ne": ""}),
        "viewer: two parts": backend.token().rpartition(".")[0],
        "viewer: empty parts": "..",
    }


def test_a_wrong_token_of_any_kind_gets_nothing_anywhere(running: Running) -> None:
    attempts = running.app.state.services.access.credentials.attempts
    routes = running.guarded
    # Each kind of token on one route, and each route with some kinds: all pairs take minutes.
    wrong = _bad_tokens(running)
    probe = KnownRoute("GET", "/api/v1/principal")
    assert running.ask(probe, running.tokens["viewer"]).status == 200, "the right one does"
    for kind, token in wrong.items():
        attempts._failures.clear()  # else they would be too many, and not looked at
        answer = running.ask(probe, token)
        assert answer.status == 401, (kind, answer)
    kinds = cycle(wrong.items())
    for route in routes:
        for _ in range(6):
            attempts._failures.clear()
            kind, token = next(kinds)
            answer = running.ask(route, token)
            # A browser that wants a page is sent to sign in.
            assert answer.status in {401, 303}, (route, kind, answer)
            assert not any(mark in answer.text for mark in _MARKS), (route, kind)


def test_only_administrators_may_change_who_sees_what(running: Running) -> None:
    for route in running.guarded:
        for reader in _READERS:
            answer = running.ask(route, running.tokens[reader])
            if route.path.startswith(_ADMINISTRATORS_ONLY):
                assert answer.status == 403, (route, reader)
            else:
                may = _READERS_MAY.get(route, {403, 404, 405})
                assert route.method == "GET" or answer.status in may, (
                    f"{route}: a reader changes something? say so here if it may"
                )
    assert running.register.tokens.get(token_id(running.tokens["auditor"])) is not None


def test_nobody_sees_anothers_events_whatever_is_asked_for(running: Running) -> None:
    ours, theirs = running.ours, running.theirs
    place = f"{theirs.event['occurred_at']}_{theirs.event['id']}"
    asked: list[list[tuple[str, str]]] = [
        [],
        [("account", theirs.account)],
        [("account", ours.account), ("account", theirs.account)],
        [("account", theirs.account), ("account", ours.account)],
        [("account[]", theirs.account), ("accounts", theirs.account)],
        [("account", f"{ours.account}' OR account='{theirs.account}")],
        [("scope", "organization")],
        [("scope", "organization"), ("scope", "mine")],
        [("scope", "mine"), ("scope", "organization")],
        [("scope", "accounts"), ("account", theirs.account)],
        [("scope", "mine"), ("user", f"{theirs.mark}-1")],
        [("scope", "all")],
        [("text", theirs.mark)],
        [("user", f"{theirs.mark}-1")],
        [("id", theirs.event["id"])],
        [("ip", "0.0.0.0/0"), ("ip", "::/0")],
        [("older_than", place)],
        [("newer_than", place)],
        [("after", place), ("before", place), ("cursor", place)],
        [("seen_accounts", theirs.account), ("seen_actor", f"{theirs.mark}-1")],
        [("param_seen_accounts", f"['{theirs.account}']")],
        [("role", "administrator"), ("actor_id", f"{theirs.mark}-1")],
    ]
    routes = [
        route
        for route in running.guarded
        if route.method == "GET" and not route.path.startswith(_ADMINISTRATORS_ONLY)
    ]
    for reader in _READERS:
        for route in routes:
            headers = {"last-event-id": place, "x-account": theirs.account, "x-user": theirs.mark}
            for parameters in asked:
                answer = running.ask(
                    route, running.tokens[reader], params=parameters, headers=headers
                )
                assert answer.status < 500, (reader, route, parameters, answer)
                # Not the name asked for itself, which a form shows again.
                trace = answer.text
                for _, value in parameters:
                    trace = trace.replace(value, "")
                assert f"{theirs.mark} " not in trace, (reader, route, parameters)
                assert f"Did{theirs.mark}" not in trace, (reader, route, parameters)


def test_and_what_may_be_seen_is_seen(running: Running) -> None:
    """Else the tests above would prove nothing."""
    events = KnownRoute("GET", "/api/v1/events")
    ours, theirs = running.ours.mark, running.theirs.mark
    for reader, expected in {
        "nobody": (False, False), "member": (True, False), "auditor": (True, False),
        "viewer": (True, False),
    }.items():  # fmt: skip
        answer = running.ask(events, running.tokens[reader])
        assert (ours in answer.text, theirs in answer.text) == expected, reader
    for account, mark in ((running.ours.account, ours), (running.theirs.account, theirs)):
        assert mark in running.ask(events, ADMINISTRATOR, params={"account": account}).text


def test_a_viewer_sees_its_own_actions_within_its_keys_accounts_only(running: Running) -> None:
    """Its token says whose actions are its own: another tenant's user, here."""
    answer = running.ask(
        KnownRoute("GET", "/api/v1/events"), running.tokens["viewer"], params={"scope": "mine"}
    )
    assert answer.status == 200
    assert running.theirs.mark not in answer.text


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


def test_a_foreign_page_can_change_nothing_with_a_persons_cookie(running: Running) -> None:
    with requests.Session() as browser:
        browser.headers["origin"] = running.url
        answer = browser.post(
            f"{running.url}/sign-in", data={"token": ADMINISTRATOR}, allow_redirects=False
        )
        assert answer.status_code == 303
        body = {"name": "forged", "accounts": []}
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": running.url + ".evil.example"},
            {"origin": running.url.replace("127.0.0.1", "localhost")},
            {"origin": "", "sec-fetch-site": "cross-site"},
            {"origin": None, "sec-fetch-site": "cross-site"},
            {"origin": None, "sec-fetch-site": "same-site"},
        ):
            for route in running.routes:
                if route.method != "GET":
                    url = running.url + running.path(route)
                    answer = browser.request(route.method, url, json=body, headers=headers)
                    assert answer.status_code == 403, (route, headers)
        same = browser.post(f"{running.url}/api/v1/organizations", json=body)
        assert same.status_code == 204
        listed = browser.get(f"{running.url}/api/v1/organizations").json()["organizations"]
        assert "forged" in {one["name"] for one in listed}
        browser.delete(f"{running.url}/api/v1/organizations/forged")


def test_a_name_that_points_here_is_not_answered(running: Running) -> None:
    """DNS rebinding: the page of evil.example asks evil.example, which is now 127.0.0.1."""
    for host in ("evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "a b",
                 "localhost@evil.example", "evil.example#localhost"):  # fmt: skip
        for route in running.routes:
            if route.path in {"/healthz", "/readyz", "/metrics"}:
                continue
            answer = running.ask(route, ADMINISTRATOR, headers={"host": host})
            assert answer.status in {400, 421}, (route, host)
    for host in ("127.0.0.1", "localhost:9", "[::1]:80", "10.0.0.7"):
        answer = running.ask(KnownRoute("GET", "/sign-in"), None, headers={"host": host})
        assert answer.status == 200, host


def test_large_bodies_are_not_read(running: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65536

    for route in running.routes:
        if route.method == "POST" and route.path != "/sign-out":  # which reads none
            for data in (b" " * (2 * 1024 * 1024), endless()):
                try:
                    answer = running.ask(
                        route, ADMINISTRATOR, json=None, data=data,
                        headers={"content-type": "application/json"},
                    )  # fmt: skip
                except requests.ConnectionError:
                    continue  # the answer came before all was sent, and the connection was closed
                assert 400 <= answer.status < 500, (route, answer.status)


def test_the_origin_of_these_tests_is_none_of_the_servers(running: Running) -> None:
    """Viewer tokens are for `public_url`, which is not where this server listens."""
    assert not running.url.startswith(ORIGIN)
