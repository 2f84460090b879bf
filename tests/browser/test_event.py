"""One event: the panel beside the table, its own page, the keyboard, and hostile text."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.events import HOSTILE, hostile_events, insert
from tests.browser.serving import Console

Open = Callable[..., Any]


def test_the_panel_shows_the_whole_event_at_its_own_address(visit: Open, console: Console) -> None:
    page = visit("/?action=StorageUpdated&account=own-account")
    view = page.url
    row = page.locator("#rows > tr").first
    id_ = row.get_attribute("data-id")
    row.locator("td.c-description").click()
    panel = page.get_by_role("dialog", name="StorageUpdated")
    expect(panel).to_be_visible()
    expect(panel.get_by_role("heading", name="StorageUpdated")).to_be_focused()
    assert urlsplit(page.url).path == f"/events/{id_}"
    changed = panel.locator(".changes tbody tr")
    expect(changed.nth(0).locator("del")).to_have_text("eu-west-1")
    expect(changed.nth(0).locator("ins")).to_have_text("eu-central-1")
    expect(changed.nth(1)).to_contain_text("redacted")
    panel.locator(".raw summary").click()
    raw = panel.locator("#raw-json").inner_text()
    stored = console.client.query(
        "SELECT event FROM audit.log WHERE id = {id:UUID}", parameters={"id": id_}
    ).result_rows[0][0]
    assert json.loads(raw) == json.loads(stored)
    assert raw.count("\n") > 20
    expect(panel).to_contain_text("12")  # metadata
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    assert page.url == view
    expect(row.locator("a")).to_be_focused()
    page.go_forward()
    expect(panel).to_be_visible()
    page.reload()  # the address is that of a page
    expect(page.locator(".detail-title")).to_have_text("StorageUpdated")
    page.get_by_role("link", name="Back to the log").click()
    page.wait_for_url(view)


def test_the_raw_event_is_copied(visit: Open) -> None:
    page = visit(
        "/?action=StorageUpdated&account=own-account",
        permissions=["clipboard-read", "clipboard-write"],
    )
    page.locator("#rows a").first.click()
    page.locator(".raw summary").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("[data-copy] span")).to_have_text("Copied")
    copied = json.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied["action"] == "StorageUpdated"


@pytest.mark.parametrize(("more", "column"), [("user", "user"), ("IP", "ip")])
def test_more_by_this(visit: Open, more: str, column: str) -> None:
    page = visit("/?action=Login")
    row = page.locator("#rows > tr").first
    wanted = row.locator(f"td.c-{column}").inner_text().strip()
    row.locator("a").click()
    page.locator(".more a", has=page.locator(f"span:text-is('{more}')")).click()
    page.wait_for_url(lambda url: "/events/" not in url)
    found = {text.strip() for text in page.locator(f"td.c-{column}").all_inner_texts()}
    assert found == {wanted}


def test_everything_is_reached_by_keys(visit: Open) -> None:
    page = visit()
    page.keyboard.press("/")
    search = page.get_by_role("searchbox")
    expect(search).to_be_focused()
    page.keyboard.type("jk?")  # where one types, keys are letters
    expect(search).to_have_value("jk?")
    page.keyboard.press("Escape")
    expect(search).not_to_be_focused()
    for key in "jjk":
        page.keyboard.press(key)
    rows = page.locator("#rows > tr")
    expect(rows.nth(0)).to_have_class("row current")
    page.keyboard.press("Enter")
    panel = page.locator("#panel")
    expect(panel).to_be_visible()
    id_ = rows.nth(1).get_attribute("data-id")
    page.keyboard.press("j")
    page.wait_for_url(f"**/events/{id_}")
    expect(rows.nth(1)).to_have_class("row current opened")
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    page.keyboard.press("?")
    helped = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(helped).to_be_visible()
    helped.get_by_label("Single keys work as shortcuts").uncheck()
    page.keyboard.press("Escape")
    expect(helped).to_be_hidden()
    page.keyboard.press("/")
    expect(search).not_to_be_focused()
    page.reload()
    page.keyboard.press("j")
    expect(page.locator(".row.current")).to_have_count(0)


def test_bars_are_reached_by_arrow_keys(visit: Open) -> None:
    page = visit("/?since=7d")
    page.locator("#bars a").first.focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowLeft", "End", "Home", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator("#bars a").nth(1)).to_be_focused()
    assert page.locator("#bars a[tabindex='0']").count() == 1


def test_hostile_text_is_only_text(visit: Open, console: Console, now: datetime) -> None:
    insert(console.client, hostile_events(now))
    page = visit("/?account=hostile&since=all")
    expect(page.locator("#rows > tr")).to_have_count(len(HOSTILE))
    shown = page.locator("td.c-description bdi").all_text_contents()
    assert [text.replace("\r\n", "\n") for text in shown] == [
        text.replace("\r\n", "\n") for text in HOSTILE
    ]
    for n in (0, 1, 3):
        page.locator("#rows a").nth(n).click()
        expect(page.locator("#panel")).to_be_visible()
        page.locator("#panel .raw summary").click()
        assert page.locator("#panel script, #panel img, #rows img, #rows script").count() == 0
        more = page.locator("#panel .more a").evaluate_all("all => all.map((one) => one.href)")
        assert all(url.startswith(f"{console.url}/?") for url in more)
        page.keyboard.press("Escape")
        expect(page.locator("#panel")).to_be_hidden()
    for text in HOSTILE[:3]:
        page.locator("#search").fill(text)
        page.keyboard.press("Enter")
        page.wait_for_url("**text=**")
        assert page.locator("#search").input_value().split() == text.split()
    assert page.title() != "owned"
    assert "owned" not in {cookie["name"] for cookie in page.context.cookies()}


def test_an_event_that_is_not_there_says_so(visit: Open) -> None:
    page = visit("/events/01890a5d-ac96-774b-bcce-b302099a8057")
    expect(page.locator(".notice h2")).to_have_text("No such event")
    page.goto("/events/%3Cscript%3E")
    expect(page.locator(".notice h2")).to_have_text("No such event")
