"""Who sees what, and what is shown where there is nothing to see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from auditbus.console.access import Principal
from auditbus.console.query.survey import survey
from auditbus.console.web.screen import counting
from tests.backends.parts import ClickHouse
from tests.browser.serving import ADMINISTRATOR, AUDITOR, MEMBER, NOBODY, Console, running_console
from tests.store import migrated_client

Open = Callable[..., Any]
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize(
    ("person", "only"),
    [(ADMINISTRATOR, "Everyone in my organization"), (MEMBER, "What I have done")],
    ids=["administrator", "member"],
)
def test_one_scope_is_no_switch(visit: Open, person: Principal, only: str) -> None:
    page = visit("/", person=person)
    expect(page.locator(".only-scope")).to_have_text(only)
    assert page.get_by_role("navigation", name="Whose events").count() == 0


def test_the_scopes_that_are_offered(visit: Open) -> None:
    switch = visit("/", person=AUDITOR).get_by_role("navigation", name="Whose events")
    assert [text.strip() for text in switch.locator("a").all_inner_texts()] == [
        "What I have done", "My accounts", "Everyone in my organization"
    ]  # fmt: skip
    expect(switch.locator("a[aria-current]")).to_have_text("Everyone in my organization")


def test_a_scope_shows_its_own_events_alone(visit: Open) -> None:
    page = visit("/?account=own-account&account=sister-account", person=AUDITOR)
    cells = page.locator("#rows > tr")
    expect(cells).to_have_count(6)
    page.get_by_role("link", name="My accounts").click()
    page.wait_for_url("**/?scope=accounts&**")
    expect(cells).to_have_count(4)
    assert set(page.locator("td.c-account").all_inner_texts()) == {"Own Account"}
    page.get_by_role("link", name="What I have done").click()
    page.wait_for_url("**/?scope=mine&**")
    expect(cells).to_have_count(2)
    assert set(page.locator("td.c-user").all_inner_texts()) == {"Otto"}
    expect(page.locator(".chart-head strong")).to_have_text("2")  # the counts are bound as well


def test_an_event_of_others_is_not_there(visit: Open) -> None:
    other = visit("/?account=own-account&user=u-otto").locator("#rows > tr").first
    page = visit(f"/events/{other.get_attribute('data-id')}", person=MEMBER)
    expect(page.locator(".notice h2")).to_have_text("No such event")


def test_nothing_granted(visit: Open) -> None:
    page = visit("/", person=NOBODY)
    expect(page.locator(".notice h2")).to_have_text("Nothing was granted to you yet")
    assert page.locator("#events, #facets a, .search").count() == 0


def test_signing_in_and_out(visit: Open, console: Console) -> None:
    token = "abt_BrowserTestsAdministratorToken0123456789"
    with running_console(console.store, console.client, administrator_token=token) as real:
        page = visit(f"{real.url}/?action=Login", extra_http_headers={})
        page.get_by_label("Access token").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url(f"{real.url}/?action=Login")  # where one wanted to go
        expect(page.locator("#rows > tr")).to_have_count(50)
        page.locator("#rows a").first.click()
        expect(page.locator("#panel h2")).to_have_text("Login")
        page.keyboard.press("Escape")
        other = page.context.new_page()
        other.goto(f"{real.url}/")
        other.get_by_role("button", name="Sign out").click()
        expect(other.get_by_role("status")).to_have_text("You have signed out.")
        page.locator("#rows a").last.click()  # in a window that does not know it yet
        page.wait_for_url(f"{real.url}/sign-in**")
        page.goto(f"{real.url}/sign-in#token={token}")  # the link of `auditbus up`
        expect(page.locator("#rows > tr")).to_have_count(50)
        assert token not in page.url


def test_a_store_that_is_down(visit: Open, fresh_clickhouse: ClickHouse, console: Console) -> None:
    with closing(migrated_client(fresh_clickhouse)) as client:
        fresh_clickhouse.kill()
        with running_console(fresh_clickhouse, client) as alone:
            page = visit(f"{alone.url}/?action=Login")
            expect(page.locator(".notice h2")).to_have_text("The log cannot be read just now")
            expect(page.locator(".chip")).to_contain_text("Login")  # the view is not lost
            page.goto(f"{alone.url}/events/01890a5d-ac96-774b-bcce-b302099a8057")
            expect(page.locator(".notice h2")).to_have_text("The event cannot be read just now")
            fresh_clickhouse.start()
            page.goto(f"{alone.url}/?action=Login")
            expect(page.locator(".notice h2")).to_have_text("No events here")


def test_what_takes_long_to_count_comes_after_the_rows(
    visit: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = threading.Event()

    def slow(*arguments: Any) -> Any:
        counted.wait(30)
        return survey(*arguments)

    monkeypatch.setattr(counting, "survey", slow)
    page = visit("/?since=90d", wait_until="domcontentloaded")
    expect(page.locator("#rows > tr")).to_have_count(50)
    expect(page.locator("#chart")).to_have_attribute("aria-busy", "true")
    places = "['chart', 'rows'].map((id) => document.getElementById(id).offsetTop)"
    before = page.evaluate(places)
    counted.set()
    expect(page.locator("#bars a").first).to_be_attached()
    expect(page.locator('[data-facet="action"]')).to_be_visible()
    assert page.evaluate(places) == before
    page.locator("#bars a:has(.bar)").last.locator(".place").click()
    page.wait_for_url("**until=**")
    # Without scripts they are a click away.
    counted.clear()
    page = visit("/?since=7d", java_script_enabled=False)
    counted.set()
    page.get_by_role("link", name="Count them").click()
    page.wait_for_url("**/?since=7d&counts=shown")
    expect(page.locator("#bars a").first).to_be_attached()


def test_it_says_up_to_when_the_log_is_complete(
    visit: Open, console: Console, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    known = SimpleNamespace(up_to=now, reason=None)
    watch = SimpleNamespace(now=lambda: known)
    monkeypatch.setattr(console.app.state, "completeness", watch, raising=False)
    page = visit("/?tz=Asia%2FTokyo")
    local = now.astimezone(ZoneInfo("Asia/Tokyo"))
    expect(page.locator("#complete")).to_contain_text(
        f"Complete up to {local.day} {local:%b %H:%M:%S}"
    )
    known.up_to, known.reason = None, "Kafka does not answer"
    page.reload()
    expect(page.locator("#complete")).to_contain_text("not known: Kafka does not answer")
    begun = threading.Event()
    watch.now = lambda: begun.wait(20) and known
    page.reload()  # the rows do not wait for it
    expect(page.locator("#rows > tr")).to_have_count(50)
    assert page.locator("#complete").count() == 0
    begun.set()


def test_nothing_found(visit: Open) -> None:
    page = visit("/?text=zzzzqqq")
    expect(page.locator(".notice h2")).to_have_text("No events here")
    page.get_by_role("link", name="Search all time").click()
    page.wait_for_url("**/?text=zzzzqqq&since=all")
    page.get_by_role("link", name="Clear filters").click()
    expect(page.locator("#rows > tr")).to_have_count(50)


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_shows_a_card_an_event_and_no_sideways_scrolling(visit: Open, width: int) -> None:
    page = visit(
        "/?outcome=failure&since=all", viewport={"width": width, "height": 800}, has_touch=True
    )
    for column in ("time", "action", "description", "user", "account", "error"):
        expect(page.locator(f"td.c-{column}").first).to_be_visible()
    assert page.evaluate(_SIDEWAYS) == 0
    page.get_by_role("link", name="Filters", exact=True).click()
    sidebar = page.locator("#sidebar")
    expect(sidebar).to_be_visible()
    sidebar.get_by_role("link", name="Close filters").click()
    expect(sidebar).to_be_hidden()
    page.locator("#rows > tr").first.tap()
    panel = page.locator("#panel")
    expect(panel).to_be_visible()
    assert round(panel.bounding_box()["width"]) == width
    assert page.evaluate(_SIDEWAYS) == 0
    panel.get_by_role("button", name="Close").click()
    expect(panel).to_be_hidden()


@pytest.mark.parametrize("width", [320, 600, 768, 1024, 1280, 1920])
def test_the_switch_of_scopes_fits_every_width(visit: Open, width: int) -> None:
    page = visit("/?scope=accounts", person=AUDITOR, viewport={"width": width, "height": 800})
    assert page.evaluate(_SIDEWAYS) == 0
    tools = page.locator(".tools").bounding_box()
    assert tools["x"] + tools["width"] <= width
    for choice in page.locator(".scopes a").all():
        assert choice.bounding_box()["height"] < 40  # in one line


def test_dark_follows_the_system_and_the_switch(visit: Open) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(246, 247, 249)", "rgb(14, 16, 20)"
    assert visit("/").evaluate(ground) == light
    page = visit("/", color_scheme="dark")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Switch between light and dark").click()
    assert page.evaluate(ground) == light
    page.reload()
    assert page.evaluate(ground) == light  # kept, and rendered by the server: nothing flashes
    assert page.locator("html").get_attribute("data-theme") == "light"


def test_nothing_moves_while_it_loads(visit: Open) -> None:
    page = visit("about:blank")
    page.context.add_init_script(
        "window.shifts = 0; new PerformanceObserver((list) => { for (const entry of"
        " list.getEntries()) window.shifts += entry.value; })"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.goto("/")
    page.locator("[data-facet]").first.wait_for()
    page.goto("/?action=Login")
    page.locator("[data-facet]").first.wait_for()
    assert page.evaluate("window.shifts") < 0.02


def test_static_files_are_kept_by_their_content(visit: Open, console: Console) -> None:
    page = visit("/")
    sheet = page.locator("link[rel=stylesheet]").get_attribute("href")
    answer = page.request.get(sheet)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = page.request.get(sheet, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status == 304
    stale = page.request.get("/static/0123456789abcdef/screen.css")
    assert stale.headers["cache-control"] == "no-cache"
    assert page.request.get("/static/screen.css").headers["cache-control"] == "no-cache"
    assert page.request.get("/static/x/..%2Froutes.py").status == 404
