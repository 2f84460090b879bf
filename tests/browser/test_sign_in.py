"""Signing in as people do: the link of `auditbus up`, and a frame within another product."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

from auditbus.deploy.local.ports import free_port
from tests.browser.parts import chromium
from tests.browser.serving import Console
from tests.console import ADMINISTRATOR, console_app, program, serving
from tests.identity.viewers import Backend

playwright = pytest.importorskip("playwright.sync_api")


@pytest.fixture
def page(browser: Any) -> Iterator[Any]:
    with browser.new_context() as context:
        yield context.new_page()


def test_the_link_signs_in_and_leaves_no_token_behind(page: Any, console: Console) -> None:
    port = free_port()
    app = console_app(console.client, public_url=f"http://127.0.0.1:{port}")
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    with serving(app, port) as url:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/sign-in#token={ADMINISTRATOR}")
        page.wait_for_url(f"{url}/")
        page.get_by_role("heading", name="Audit log").wait_for()
        assert page.evaluate("document.cookie") == "", "no script reads the session"
        assert not [line for line in asked if ADMINISTRATOR in line]
        page.go_back()
        assert ADMINISTRATOR not in page.url
        page.goto(f"{url}/")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_text("You have signed out").wait_for()
        page.goto(f"{url}/?text=x")
        assert page.url == f"{url}/sign-in?next=%2F%3Ftext%3Dx"
        page.get_by_label("Access token").fill("wrong")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("alert").wait_for()
        page.get_by_label("Access token").fill(ADMINISTRATOR)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{url}/?text=x")
    assert [fault for fault in faults if "401" not in fault] == []


def _product(audit: str, token: str) -> Starlette:
    """The page of a product with the screen in a frame."""

    def page(_: Request) -> HTMLResponse:
        return HTMLResponse(
            f'<!doctype html><title>Product</title><iframe src="{audit}/embed#token={token}"'
            ' width="1200" height="800"></iframe>'
        )

    return Starlette(routes=[Route("/", page)])


def test_another_product_shows_the_screen_in_a_frame_without_third_party_cookies(
    browser: Any, console: Console, tmp_path: Path
) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("audit.example.com", "app.example.org", "other.example.net")
    file = tmp_path / "server.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(file))
    audit_port, app_port = free_port(), free_port()
    audit = f"https://audit.example.com:{audit_port}"
    product, other = (
        f"https://{name}:{app_port}" for name in ("app.example.org", "other.example.net")
    )
    app = console_app(console.client, public_url=audit, embed_origins=(product,))
    backend = Backend()
    with program(app) as administrator:
        backend.register(administrator, any_account=True, role="auditor")
    token = backend.token(aud=audit, accounts=["acme"], role="auditor", name="Vera Viewer")
    running = browser.browser_type.launch(
        executable_path=chromium().executable,
        env=chromium().environment or None,
        args=[
            "--no-sandbox",
            "--host-resolver-rules=MAP * 127.0.0.1",
            "--test-third-party-cookie-phaseout",
        ],
    )
    try:
        with (
            serving(app, audit_port, ssl_certfile=str(file)),
            serving(_product(audit, token), app_port, ssl_certfile=str(file)),
            running.new_context(ignore_https_errors=True) as context,
        ):
            page = context.new_page()
            page.goto(f"{product}/")
            frame = page.frame_locator("iframe")
            frame.get_by_role("heading", name="Audit log").wait_for()
            frame.get_by_text("Vera Viewer").wait_for()
            (cookie,) = context.cookies()
            assert cookie["name"] == "__Host-auditbus-viewer"
            assert cookie["partitionKey"] == "https://example.org"
            # Opened by itself, the console knows nobody: the cookie is the product's pages' own.
            alone = context.new_page()
            alone.goto(f"{audit}/")
            assert alone.url == f"{audit}/sign-in"
            # A page that the settings don't name gets no frame.
            stranger = context.new_page()
            with stranger.expect_console_message(lambda line: "frame-ancestors" in line.text):
                stranger.goto(f"{other}/")
    finally:
        running.close()
