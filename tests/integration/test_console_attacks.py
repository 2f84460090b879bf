"""Every route, asked by everyone who may not see what the other tenant did."""

import time
from collections.abc import Iterator
from itertools import cycle

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.console.access.secret import new_token, secret_hash
from auditbus.console.access.sign_ins import token_id
from tests.attackable import ADMINISTRATORS_ONLY, MARKS, Running, attackable
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR
from tests.identity.forging import compact, hmac_sha256
from tests.identity.viewers import Backend
from tests.routes import KnownRoute
from tests.store import migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture(scope="module")
def running(store: Client) -> Iterator[Running]:
    with attackable(store) as made:
        yield made


# What readers may do too: to ask for a file of what they see, but not with a body, as here.
_READERS_MAY = {
    KnownRoute("POST", "/api/v1/exports"): {400},
    KnownRoute("POST", "/exports"): {415},
    KnownRoute("POST", "/exports/{export_id}/delete"): {404, 422},
}
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
        assert not any(mark in answer.text for mark in MARKS), route


def test_a_public_page_shows_nothing_of_the_log(running: Running) -> None:
    for route in running.routes:
        if route not in running.guarded and route.method == "GET":
            answer = running.ask(route, None)
            assert not any(mark in answer.text for mark in MARKS), route
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
            assert not any(mark in answer.text for mark in MARKS), (route, kind)


def test_only_administrators_may_change_who_sees_what(running: Running) -> None:
    for route in running.guarded:
        for reader in _READERS:
            answer = running.ask(route, running.tokens[reader])
            if route.path.startswith(ADMINISTRATORS_ONLY):
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
        if route.method == "GET" and not route.path.startswith(ADMINISTRATORS_ONLY)
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
