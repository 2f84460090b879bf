"""Signing in to the real application on the real engine: what a browser and a program get."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, browser, console_app, program
from tests.store import migrated_client


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def app(store: Client) -> FastAPI:
    return console_app(store)


def test_a_browser_that_is_not_signed_in_is_sent_to_the_form_and_back(app: FastAPI) -> None:
    with browser(app) as client:
        sent = client.get("/?text=a%26b&action=Login")
        assert sent.status_code == 303
        page = client.get(sent.headers["location"])
        assert page.status_code == 200
        assert 'value="/?text=a%26b&amp;action=Login"' in page.text
        form = {"token": ADMINISTRATOR, "next": "/?text=a%26b&action=Login"}
        answer = client.post("/sign-in", data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, form["next"])
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert client.get("/").status_code == 200
        assert client.get("/api/v1/principal").json()["role"] == "administrator"


def test_a_program_needs_no_session(app: FastAPI) -> None:
    assert program(app).get("/api/v1/principal").json()["id"] == "token:administrator"
    refused = program(app, "").get("/api/v1/principal")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"


def test_signing_out_ends_the_session_in_every_process(store: Client) -> None:
    one, other = console_app(store), console_app(store)
    with browser(one) as client, browser(other) as thief:
        client.post("/sign-in", data={"token": ADMINISTRATOR})
        stolen = dict(client.cookies)
        assert client.get("/").status_code == 200
        answer = client.post("/sign-out")
        assert answer.headers["location"] == "/sign-in?signed-out=1"
        assert not client.cookies
        assert client.get("/").status_code == 303
        for cookie in stolen.items():
            thief.cookies.set(*cookie)
        assert thief.get("/").status_code == 303
