"""Sign-in by OpenID Connect: with a certified provider, and with one that forges."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI
from joserfc.jwk import RSAKey
from pydantic import SecretStr
from starlette.testclient import TestClient

from auditbus.producers.testing import RecordingProducer
from auditbus.runtime.settings import OidcRule, OidcSettings
from tests.backends.parts import ClickHouse
from tests.console import ORIGIN, browser, console_app, program
from tests.identity.certified import CertifiedProvider, certified_provider
from tests.identity.forging import (
    Claims,
    ForgingProvider,
    compact,
    forging_provider,
    hmac_sha256,
    signed,
)
from tests.store import migrated_client

_CALLBACK = "/sign-in/oidc/callback"
_PEOPLE = {
    "ann": {
        "name": "Ann Auditor",
        "email": "ann@example.org",
        "email_verified": True,
        "groups": ["audit-readers", "staff"],
        "accounts": ["claimed"],
        "actor": "u-ann",
    },
    "bob": {"name": "Bob", "email": "bob@example.org", "email_verified": False, "groups": []},
}


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedProvider]:
    directory: Path = tmp_path_factory.mktemp("provider")
    with certified_provider(directory, f"{ORIGIN}{_CALLBACK}", _PEOPLE) as provider:
        yield provider


def _settings(provider: CertifiedProvider, **more: Any) -> OidcSettings:
    return OidcSettings(
        issuer=provider.issuer,
        name="Example ID",
        client_id=provider.client_id,
        client_secret=SecretStr(provider.client_secret),
        name_claim="name",
        actor_id_claim="actor",
        accounts_claim="accounts",
        rules=(
            OidcRule(
                claim="groups", value="audit-readers", role="auditor", organizations=("ruled",)
            ),
        ),
        **more,
    )


def _signed_in(app: FastAPI, provider: CertifiedProvider, login: str) -> TestClient:
    client = browser(app)
    assert "Sign in with Example ID" in client.get("/sign-in").text
    sent = client.get("/sign-in/oidc", params={"next": "/?text=x"})
    assert sent.status_code == 303, sent.text
    callback = provider.sign_in(sent.headers["location"], login, f"{ORIGIN}{_CALLBACK}")
    answer = client.get(callback.removeprefix(ORIGIN))
    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == "/?text=x"
    return client


def test_a_certified_provider_signs_a_person_in_with_what_its_claims_grant(
    store: Client, certified: CertifiedProvider
) -> None:
    producer = RecordingProducer()
    app = console_app(store, producer, oidc=_settings(certified))
    client = _signed_in(app, certified, "ann")
    assert client.get("/api/v1/principal").json() == {
        "id": "oidc:ann",
        "name": "Ann Auditor",
        "role": "auditor",
        "actor_id": "u-ann",
        "scopes": ["organization", "accounts", "mine"],
        "accounts": ["claimed"],
        "organization_accounts": [],
    }
    producer.assert_recorded(
        action="Login", actor={"type": "user", "id": "oidc:ann", "name": "Ann Auditor"},
        metadata={"way": "oidc"},
    )  # fmt: skip
    assert [name for name in client.cookies if "oidc" in name] == [], "good for one try"
    client.post("/sign-out")
    assert client.get("/api/v1/principal").status_code == 401
    producer.assert_recorded(action="Logout", actor={"id": "oidc:ann"})


def test_a_grant_adds_to_the_claims_and_goes_out_of_a_session_that_has_begun(
    store: Client, certified: CertifiedProvider
) -> None:
    app = console_app(store, oidc=_settings(certified))
    with program(app) as administrator:
        client = _signed_in(app, certified, "bob")
        asking = client.get("/api/v1/principal").json()
        assert (asking["role"], asking["scopes"]) == ("member", []), "no grant, no rows"
        assert client.get("/api/v1/events").json()["events"] == []
        administrator.post("/api/v1/grants", json={"subject": "bob", "accounts": ["granted"]})
        assert client.get("/api/v1/principal").json()["accounts"] == ["granted"]
        administrator.delete("/api/v1/grants/bob")
        assert client.get("/api/v1/principal").json()["accounts"] == []


def test_an_address_that_is_not_verified_names_nobody(
    store: Client, certified: CertifiedProvider
) -> None:
    app = console_app(store, oidc=_settings(certified, subject_claim="email"))
    assert _signed_in(app, certified, "ann").get("/api/v1/principal").json()["id"] == (
        "oidc:ann@example.org"
    )
    client = browser(app)
    sent = client.get("/sign-in/oidc")
    callback = certified.sign_in(sent.headers["location"], "bob", f"{ORIGIN}{_CALLBACK}")
    answer = client.get(callback.removeprefix(ORIGIN))
    assert answer.status_code == 401
    assert "not verified" in answer.text


@pytest.fixture
def forging() -> Iterator[ForgingProvider]:
    with forging_provider() as provider:
        yield provider


def _app(store: Client, provider: ForgingProvider, **more: Any) -> FastAPI:
    oidc = OidcSettings(issuer=provider.issuer, client_id=provider.client_id, **more)
    return console_app(store, oidc=oidc)


def _try(client: TestClient, provider: ForgingProvider, **changed: str) -> int:
    """Sign in with an answer that is right but for `changed`; return the status."""
    sent = client.get("/sign-in/oidc")
    answer = {**provider.authorize(sent.headers["location"]), **changed}
    return client.get(_CALLBACK, params=answer).status_code


def _unsigned(claims: Claims, key: RSAKey) -> str:
    return compact({"alg": "none", "kid": key.kid}, claims, lambda _: b"")


def _by_public_key(claims: Claims, key: RSAKey) -> str:
    sign = hmac_sha256(key.as_pem(private=False))
    return compact({"alg": "HS256", "kid": key.kid}, claims, sign)


def _tampered(claims: Claims, key: RSAKey) -> str:
    head, _, signature = signed(claims, key).split(".")
    other = signed({**claims, "sub": "root"}, key).split(".")[1]
    return f"{head}.{other}.{signature}"


_FORGERIES: dict[str, Callable[[Claims, RSAKey], str]] = {
    "alg none": _unsigned,
    "HS256 by the public key": _by_public_key,
    "tampered": _tampered,
    "another's key": lambda claims, key: signed(
        claims, RSAKey.generate_key(2048, {"kid": str(key.kid)})
    ),
    "another issuer": lambda claims, key: signed({**claims, "iss": "https://evil.example"}, key),
    "another client": lambda claims, key: signed({**claims, "aud": "other"}, key),
    "several clients without azp": lambda claims, key: signed(
        {**claims, "aud": ["auditbus", "other"]}, key
    ),
    "another azp": lambda claims, key: signed({**claims, "azp": "other"}, key),
    "expired": lambda claims, key: signed({**claims, "exp": int(time.time()) - 120}, key),
    "from the future": lambda claims, key: signed({**claims, "iat": int(time.time()) + 900}, key),
    "another nonce": lambda claims, key: signed({**claims, "nonce": "replayed"}, key),
    "no nonce": lambda claims, key: signed(
        {name: value for name, value in claims.items() if name != "nonce"}, key
    ),
    "no sub": lambda claims, key: signed(
        {name: value for name, value in claims.items() if name != "sub"}, key
    ),
    "sub no text": lambda claims, key: signed({**claims, "sub": {"$ne": ""}}, key),
    "another access token": lambda claims, key: signed({**claims, "at_hash": "AAAAAAAAAAAA"}, key),
    "no token": lambda _claims, _key: "x",
}


@pytest.mark.parametrize("name", _FORGERIES)
def test_a_forged_id_token_signs_nobody_in(
    store: Client, forging: ForgingProvider, name: str
) -> None:
    client = browser(_app(store, forging))
    assert _try(client, forging) == 303, "the right one does"
    client.cookies.clear()
    forging.forge = _FORGERIES[name]
    assert _try(client, forging) == 401
    assert not client.cookies
    assert client.get("/api/v1/principal").status_code == 401


def test_keys_may_be_rotated(store: Client, forging: ForgingProvider) -> None:
    client = browser(_app(store, forging))
    access = client.app.state.services.access  # type: ignore[attr-defined]
    assert _try(client, forging) == 303
    assert forging.keys_asked == 1
    forging.rotate("two")
    assert _try(client, forging) == 401, "keys are not asked for at every stranger's wish"
    assert forging.keys_asked == 1
    access.provider._provider._keys = (access.provider._provider._keys[0] - 11,
                                       access.provider._provider._keys[1])  # fmt: skip
    assert _try(client, forging) == 303
    assert forging.keys_asked == 2


@pytest.mark.parametrize(
    "changed",
    [{"state": "other"}, {"iss": "https://evil.example"}, {"code": "other"}, {"code": ""},
     {"error": "access_denied"}],
    ids=str,
)  # fmt: skip
def test_an_answer_that_is_not_the_providers_signs_nobody_in(
    store: Client, forging: ForgingProvider, changed: dict[str, str]
) -> None:
    client = browser(_app(store, forging))
    assert _try(client, forging, **changed) == 401
    assert client.get("/api/v1/principal").status_code == 401


def test_an_answer_works_once_and_only_in_the_browser_that_began(
    store: Client, forging: ForgingProvider
) -> None:
    app = _app(store, forging)
    one, other = browser(app), browser(app)
    answer = forging.authorize(one.get("/sign-in/oidc").headers["location"])
    assert other.get(_CALLBACK, params=answer).status_code == 401
    assert one.get(_CALLBACK, params=[*answer.items(), ("code", "x")]).status_code == 401
    assert one.get(_CALLBACK, params=answer).status_code == 401, "a try is one try"
    answer = forging.authorize(one.get("/sign-in/oidc").headers["location"])
    assert one.get(_CALLBACK, params=answer).status_code == 303
    assert one.get(_CALLBACK, params=answer).status_code == 401


def test_user_info_of_another_person_is_refused(store: Client, forging: ForgingProvider) -> None:
    client = browser(_app(store, forging, name_claim="name"))
    forging.user_info = {"name": "Ann A.", "sub": "ann"}
    assert _try(client, forging) == 303
    assert client.get("/api/v1/principal").json()["name"] == "Ann A."
    forging.user_info = {"name": "Root", "sub": "root"}
    assert _try(browser(_app(store, forging)), forging) == 401


def test_a_provider_that_is_down_or_another_is_said_so(
    store: Client, forging: ForgingProvider
) -> None:
    forging.metadata = {"issuer": "https://evil.example"}
    answer = browser(_app(store, forging)).get("/sign-in/oidc")
    assert answer.status_code == 502
    assert "not the one it should be" in answer.text
    forging.metadata = {"authorization_endpoint": "http://evil.example/"}
    assert browser(_app(store, forging)).get("/sign-in/oidc").status_code == 502
    down = OidcSettings(issuer="http://127.0.0.1:1", client_id="auditbus")
    answer = browser(console_app(store, oidc=down)).get("/sign-in/oidc")
    assert answer.status_code == 502
    assert "does not answer" in answer.text


def test_the_way_back_leads_nowhere_else(store: Client, forging: ForgingProvider) -> None:
    app = _app(store, forging)
    for evil in ("//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"):
        client = browser(app)
        sent = client.get("/sign-in/oidc", params={"next": evil})
        answer = client.get(_CALLBACK, params=forging.authorize(sent.headers["location"]))
        assert answer.headers["location"] == "/", evil
        assert urlsplit(sent.headers["location"]).netloc == urlsplit(forging.issuer).netloc
