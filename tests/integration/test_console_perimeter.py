"""Foreign pages, foreign names and endless bodies come no further than the perimeter."""

from collections.abc import Iterator

import pytest
import requests
from clickhouse_connect.driver.client import Client

from tests.attackable import Running, attackable
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, ORIGIN
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
