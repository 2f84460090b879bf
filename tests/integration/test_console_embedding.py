"""The screen within another product: the frame's token, its cookie, and who may frame it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client

from auditbus.producers.testing import RecordingProducer
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, ORIGIN, browser, console_app, program
from tests.identity.viewers import Backend
from tests.store import migrated_client

_HTTPS = "https://audit.example.com"
_PRODUCT = "https://app.example.com"


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


def test_a_frame_of_another_site_keeps_a_partitioned_cookie_as_long_as_its_token(
    store: Client,
) -> None:
    producer = RecordingProducer()
    app = console_app(store, producer, public_url=_HTTPS, embed_origins=(_PRODUCT,))
    backend = Backend()
    with program(app) as administrator:
        administrator.headers["host"] = "audit.example.com"
        backend.register(administrator, any_account=True, role="auditor")
    frame = browser(app, _HTTPS)
    page = frame.get("/embed?next=/?text=x")
    assert page.status_code == 200
    assert f"frame-ancestors {_PRODUCT}" in page.headers["content-security-policy"]
    assert "x-frame-options" not in page.headers
    token = backend.token(aud=_HTTPS, accounts=["acme"], role="auditor", name="Ann")
    answer = frame.post("/embed", data={"token": token, "next": "/?text=x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/?text=x")
    (cookie,) = [
        line for line in answer.headers.get_list("set-cookie") if line.startswith("__Host-")
    ]
    name, *attributes = cookie.split("; ")
    assert name.startswith("__Host-auditbus-viewer=")
    assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned", "Path=/"} <= set(attributes)
    (age,) = [part for part in attributes if part.startswith("Max-Age=")]
    assert 290 <= int(age.partition("=")[2]) <= 300
    asking = frame.get("/api/v1/principal").json()
    assert asking["id"] == f"viewer:{backend.kid}:user-7"
    assert (asking["name"], asking["accounts"]) == ("Ann", ["acme"])
    producer.assert_recorded(
        action="Login", actor={"id": f"viewer:{backend.kid}:user-7"},
        metadata={"way": "viewer token"},
    )  # fmt: skip


def test_nobody_frames_the_screen_unless_the_settings_name_them(store: Client) -> None:
    page = browser(console_app(store)).get("/sign-in")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"


def test_a_view_that_has_expired_says_so_within_its_frame(store: Client) -> None:
    frame = browser(console_app(store, embed_origins=(_PRODUCT,)))
    answer = frame.get("/", headers={"sec-fetch-dest": "iframe"})
    assert answer.status_code == 401
    assert "Reload the page" in answer.text


def test_a_key_that_is_revoked_ends_every_view_it_signed(store: Client) -> None:
    app, backend = console_app(store), Backend()
    with program(app) as administrator:
        backend.register(administrator, any_account=True)
        frame = browser(app)
        assert frame.post("/embed", data={"token": backend.token()}).status_code == 303
        assert frame.get("/api/v1/principal").status_code == 200
        assert administrator.delete(f"/api/v1/viewer-keys/{backend.kid}").status_code == 204
        assert frame.get("/api/v1/principal").status_code == 401
        assert program(app, backend.token()).get("/api/v1/principal").status_code == 401
        assert backend.kid not in administrator.get("/api/v1/viewer-keys").text


def test_both_names_of_the_algorithm_are_understood(store: Client) -> None:
    app, backend = console_app(store), Backend()
    with program(app) as administrator:
        backend.register(administrator, any_account=True)
    head = {"alg": "EdDSA", "kid": backend.kid}
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in (head, backend.claims())
    ]
    sign = backend.key.get_op_key("sign").sign  # type: ignore[union-attr]
    signature = base64.urlsafe_b64encode(sign(".".join(parts).encode())).decode().rstrip("=")
    token = ".".join([*parts, signature])
    assert program(app, token).get("/api/v1/principal").status_code == 200


def test_a_person_who_signs_in_leaves_the_view_behind(store: Client) -> None:
    """A frame of the same site shares its cookies with the console itself."""
    app, backend = console_app(store), Backend()
    with program(app) as administrator:
        backend.register(administrator, any_account=True)
    client = browser(app)
    client.post("/sign-in", data={"token": ADMINISTRATOR})
    client.post("/embed", data={"token": backend.token()})
    assert client.get("/api/v1/principal").json()["role"] == "member"
    client.post("/sign-in", data={"token": ADMINISTRATOR})
    assert client.get("/api/v1/principal").json()["role"] == "administrator"


def test_under_https_cookies_are_bound_to_the_host(store: Client) -> None:
    app = console_app(store, public_url=_HTTPS)
    client = browser(app, _HTTPS)
    answer = client.post("/sign-in", data={"token": ADMINISTRATOR})
    assert "strict-transport-security" in answer.headers
    (cookie,) = [line for line in answer.headers.get_list("set-cookie") if "Max-Age=0" not in line]
    assert cookie.startswith("__Host-auditbus=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert "strict-transport-security" not in browser(console_app(store)).get("/sign-in").headers
    assert ORIGIN.startswith("http://")
