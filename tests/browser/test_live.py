"""The live tail: new rows come by themselves, unless someone reads."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.events import HOSTILE, TOPIC, insert
from tests.browser.serving import AUDITOR, Console
from tests.store import encode, enriched_event, rfc3339

Open = Callable[..., Any]
_offsets = count(1000)


@pytest.fixture
def arrive(console: Console) -> Callable[..., dict[str, Any]]:
    """Call it to have one event stored; returns the event."""

    def arrive(account: str = "live-account", **fields: Any) -> dict[str, Any]:
        origin = {"topic": TOPIC, "partition": 8, "offset": next(_offsets)}
        moment = rfc3339(datetime.now(UTC))
        event = enriched_event(
            account, origin=origin, occurred_at=moment, received_at=moment, **fields
        )
        insert(console.client, [encode(event)])
        return event

    return arrive


def _row(page: Any, event: dict[str, Any]) -> Any:
    return page.locator(f"#rows > [data-id='{event['id']}']")


def _live(visit: Open, path: str = "/?live=1", **options: Any) -> Any:
    page = visit(path, **options)
    expect(page.locator("#live")).to_have_attribute("data-state", "live", timeout=15_000)
    page.mouse.move(5, 5)
    return page


def test_new_rows_come_on_top_like_those_of_the_page(visit: Open, arrive: Any) -> None:
    page = _live(visit, "/?tz=Asia%2FTokyo&live=1")
    event = arrive(
        outcome="failure",
        error={"code": "quota", "message": "The storage is full"},
        description="wrote to storage backups",
    )
    row = _row(page, event)
    expect(row).to_be_visible()
    expect(page.locator("#rows > tr").first).to_have_attribute("data-id", event["id"])
    live = [text.strip() for text in row.locator("td").all_inner_texts()]
    href = row.locator("a").get_attribute("href")
    expect(page.locator("#announcer")).to_contain_text("new event")
    page.reload()
    row = _row(page, event)
    # The server's own row of the event says the same.
    assert [text.strip() for text in row.locator("td").all_inner_texts()] == live
    assert row.locator("a").get_attribute("href") == href


def test_a_pause_counts_and_nothing_moves(visit: Open, arrive: Any) -> None:
    page = _live(visit)
    page.locator("#live").click()
    expect(page.locator("#live")).to_have_text("Paused")
    page.mouse.move(5, 5)
    before = page.locator("#rows > tr").first.get_attribute("data-id")
    first, second = arrive(), arrive()
    expect(page.locator("#fresh-show")).to_have_text("2 new events")
    expect(page.locator("#rows > tr").first).to_have_attribute("data-id", before)
    page.locator("#fresh-show").click()
    expect(_row(page, first)).to_be_visible()
    expect(page.locator("#rows > tr").first).to_have_attribute("data-id", second["id"])
    page.keyboard.press("l")
    expect(page.locator("#live")).to_have_attribute("data-state", "live")


def test_rows_that_are_read_do_not_move_away(visit: Open, arrive: Any) -> None:
    page = _live(visit)
    page.mouse.move(800, 30)  # over no row
    page.mouse.wheel(0, 600)
    page.wait_for_function("scrollY > 300")
    place = "document.querySelectorAll('#rows > tr')[20].getBoundingClientRect().top"
    before = page.evaluate(place)
    event = arrive()
    expect(page.locator("#fresh-show")).to_have_text("1 new event")
    assert page.evaluate(place) == before
    expect(page.locator("#fresh-show")).to_be_in_viewport()
    page.locator("#fresh-show").click()
    expect(_row(page, event)).to_be_in_viewport()


def test_a_tail_follows_the_filters_and_the_scope(visit: Open, arrive: Any) -> None:
    page = _live(visit, "/?scope=accounts&action=Login&live=1", person=AUDITOR)
    arrive("someone-else", action="Login")
    arrive(action="Logout")
    wanted = arrive(action="Login", category="authentication")
    expect(_row(page, wanted)).to_be_visible()
    assert set(page.locator("td.c-action").all_inner_texts()) == {"Login"}
    assert set(page.locator("td.c-account").all_inner_texts()) <= {"Acme Inc.", "Own Account"}


def test_hostile_text_that_arrives_is_only_text(visit: Open, arrive: Any) -> None:
    page = _live(visit)
    text = HOSTILE[1]
    event = arrive(description=text, action="Login", actor={"type": "user", "name": text})
    row = _row(page, event)
    expect(row.locator("td.c-description bdi")).to_have_text(text)
    assert row.locator("img").count() == 0
    assert page.title() == "Audit log"


def test_a_tail_that_is_refused_says_so_and_begins_again(visit: Open, arrive: Any) -> None:
    page = visit("/")
    page.route("**/api/v1/tail?*", lambda route: route.fulfill(status=429))
    page.locator("#live").click()
    expect(page.locator("#live")).to_have_text("Stopped")
    page.unroute("**/api/v1/tail?*")
    page.locator("#live").click()
    expect(page.locator("#live")).to_have_attribute("data-state", "live")
    page.mouse.move(5, 5)
    expect(_row(page, arrive())).to_be_visible()


def test_an_address_with_an_end_has_no_tail(visit: Open) -> None:
    page = visit("/?since=2026-01-01T00%3A00%3A00Z&until=2026-01-02T00%3A00%3A00Z")
    expect(page.locator("#live")).to_be_disabled()
