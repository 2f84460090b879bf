"""The log as a page: columns, search, facets, ranges, histogram, pages."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import expect

from tests.browser.events import TOPIC, insert
from tests.browser.serving import Console
from tests.store import encode, enriched_event, rfc3339

Open = Callable[..., Any]
_COLUMNS = [
    "Time", "Action", "Description", "Account", "User", "IP", "Device", "Location", "Error",
]  # fmt: skip


def parameters(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


def row_ids(page: Any) -> list[str]:
    return page.eval_on_selector_all("#rows > tr", "rows => rows.map((row) => row.dataset.id)")


def texts(page: Any, column: str) -> list[str]:
    return [text.strip() for text in page.locator(f"td.c-{column}").all_inner_texts()]


def test_the_columns_are_those_of_the_product_page_newest_first(visit: Open) -> None:
    page = visit()
    assert page.locator("#events thead th").all_inner_texts() == _COLUMNS
    times = page.eval_on_selector_all("#rows time", "all => all.map((time) => time.dateTime)")
    assert len(times) == 50
    assert times == sorted(times, reverse=True)
    expect(page.get_by_role("link", name="Audit log")).to_have_attribute("aria-current", "page")
    expect(page.get_by_role("link", name="Export to CSV")).to_be_visible()


def test_the_log_is_found_in_the_navigation_sidebar(visit: Open) -> None:
    page = visit("/?since=7d")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Audit log")
    expect(link).to_have_attribute("aria-current", "page")
    link.click()
    page.wait_for_url(lambda url: "since" not in url)
    expect(page.locator("#rows > tr").first).to_be_visible()


def test_search_asks_the_whole_range_and_has_an_address(visit: Open) -> None:
    page = visit()
    assert not any("Moved storage number" in text for text in texts(page, "description"))
    page.get_by_role("searchbox", name="Search the log").fill("moved number 4")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?text=moved+number+4")
    assert texts(page, "description") == ["Moved storage number 4"]
    page.get_by_role("link", name="Remove filter Search").click()
    expect(page.locator("#rows > tr")).to_have_count(50)
    assert urlsplit(page.url).query == ""


def test_an_equal_view_has_an_equal_address(visit: Open) -> None:
    page = visit("/?device=&until=&action=Login&since=7d&text=+&unknown=1&action=Login")
    assert urlsplit(page.url).query == "action=Login&since=7d"


def test_facets_count_and_narrow_and_are_removed_as_chips(visit: Open) -> None:
    page = visit("/?since=all")
    item = page.locator('[data-facet="action"] a', has_text="Login").first
    count = int(re.sub(r"\D", "", item.locator(".count").inner_text()))
    item.click()
    page.wait_for_url("**/?action=Login&since=all")
    assert set(texts(page, "action")) == {"Login"}
    expect(page.locator(".chart-head strong")).to_have_text(f"{count:,}")
    chosen = page.locator('[data-facet="action"] a[aria-current]')
    expect(chosen).to_have_count(1)
    expect(chosen.locator(".count")).to_contain_text(f"{count:,}")
    expect(chosen).to_be_focused()  # where the reader was
    # The other values of the facet are still there, to be chosen as well.
    page.locator('[data-facet="action"] a', has_text="Logout").first.click()
    page.wait_for_url("**action=Logout**")
    assert set(texts(page, "action")) == {"Login", "Logout"}
    page.locator('[data-facet="outcome"] a', has_text="failure").click()
    page.wait_for_url("**outcome=failure**")
    assert page.locator(".chip").count() == 3
    assert all(texts(page, "error"))
    page.get_by_role("link", name="Remove filter Outcome: failure").click()
    page.wait_for_url(lambda url: "outcome" not in url)
    assert parameters(page) == {"action": ["Login", "Logout"], "since": ["all"]}
    page.locator(".chips").get_by_role("link", name="Clear all").click()
    page.wait_for_url("**/?since=all")


def test_every_facet_of_the_screen_is_there(visit: Open) -> None:
    page = visit()
    page.locator("[data-facet]").first.wait_for(state="attached")
    names = page.locator("[data-facet]").evaluate_all("all => all.map((one) => one.dataset.facet)")
    assert sorted(names) == sorted(
        ["action", "category", "account", "user", "country", "device", "outcome"]
    )


def test_a_range_is_chosen_and_the_time_zone_is_shown_and_switched(
    visit: Open, now: datetime
) -> None:
    page = visit()
    page.locator("#range summary").click()
    page.get_by_role("link", name="Last 24 hours").click()
    page.wait_for_url("**/?since=24h")
    expect(page.locator(".chart-note")).to_have_text("Last 24 hours · UTC")
    oldest = page.locator("#rows time").last.get_attribute("datetime")
    assert datetime.fromisoformat(oldest) > now - timedelta(hours=25)
    shown = page.locator("#rows time span").nth(1).inner_text()
    page.get_by_role("link", name="Local").click()
    page.wait_for_url("**tz=Europe*Berlin")
    moment = datetime.fromisoformat(page.locator("#rows time").first.get_attribute("datetime"))
    offset = (
        timedelta(hours=2) if "UTC+2" in page.locator(".fine").inner_text() else timedelta(hours=1)
    )
    assert shown == f"{moment:%H:%M:%S}"
    expect(page.locator("#rows time span").nth(1)).to_have_text(f"{moment + offset:%H:%M:%S}")
    assert "ago" in page.locator("#rows time").first.get_attribute("title")
    page.goto("/")  # the choice is kept
    expect(page.locator(".chart-note")).to_contain_text("Europe/Berlin")


def test_a_custom_range_is_of_the_zone_that_is_shown(visit: Open) -> None:
    page = visit("/?tz=Asia%2FKolkata")
    page.locator("#range summary").click()
    page.get_by_label("From", exact=True).fill("2026-01-02T03:30")
    page.get_by_label("To", exact=True).fill("2026-01-02T05:30")
    page.get_by_role("button", name="Apply").click()
    page.wait_for_url("**/?since=**until=**")
    assert parameters(page) == {
        "since": ["2026-01-01T22:00:00Z"], "until": ["2026-01-02T00:00:00Z"], "tz": ["Asia/Kolkata"]
    }  # fmt: skip
    expect(page.locator(".notice h2")).to_have_text("No events here")


def test_what_is_wrong_is_said_beside_its_field(visit: Open) -> None:
    page = visit("/?since=yesterday")
    expect(page.locator("#range-since-error")).to_contain_text("yesterday")
    expect(page.locator("#range-since")).to_have_attribute("aria-invalid", "true")
    page = visit("/?ip=81.2.69.300")
    expect(page.locator(".chip.wrong")).to_contain_text("81.2.69.300")
    expect(page.locator(".field-error")).to_contain_text("not an address or network")
    page = visit("/?older_than=nowhere")
    expect(page.locator(".notice")).to_contain_text("not a cursor")
    page = visit("/?tz=Mars%2FOlympus")
    expect(page.locator(".field-error")).to_contain_text("no such time zone")
    expect(page.locator("#rows > tr")).to_have_count(50)


def test_a_click_on_a_bar_narrows_to_it(visit: Open) -> None:
    page = visit("/?since=7d")
    bar = page.locator("#bars a:has(.bar)").first
    label, start = bar.get_attribute("aria-label"), bar.get_attribute("data-start")
    bar.locator(".place").click()
    page.wait_for_url("**/?since=**until=**")
    assert parameters(page)["since"] == [start]
    count = re.search(r": ([\d,]+) event", label)
    assert count is not None
    expect(page.locator(".chart-head strong")).to_have_text(count[1])


def test_a_drag_over_bars_narrows_to_them(visit: Open) -> None:
    page = visit("/?since=7d")
    bars = page.locator("#bars a")
    first, last = bars.nth(5), bars.nth(20)
    wanted = (first.get_attribute("data-start"), last.get_attribute("data-end"))
    here, there = (bar.locator(".place").bounding_box() for bar in (first, last))
    page.mouse.move(here["x"] + 2, here["y"] + 40)
    page.mouse.down()
    page.mouse.move(there["x"] + 2, there["y"] + 30, steps=8)
    expect(page.locator(".brush")).to_be_visible()
    page.mouse.up()
    page.wait_for_url("**/?since=**until=**")
    assert (parameters(page)["since"][0], parameters(page)["until"][0]) == wanted


def test_pages_lead_to_and_fro_and_stay_while_events_arrive(visit: Open, console: Console) -> None:
    page = visit("/?since=all")
    first = row_ids(page)
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**older_than=**")
    second = row_ids(page)
    assert len(second) == 50
    assert not set(first) & set(second)
    arrived = [
        enriched_event(
            "late-account",
            occurred_at=rfc3339(datetime.now(UTC)),
            origin={"topic": TOPIC, "partition": 7, "offset": n},
        )
        for n in range(3)
    ]
    insert(console.client, [encode(event) for event in arrived])
    page.reload()
    assert row_ids(page) == second
    page.get_by_role("link", name="Older").click()
    page.wait_for_url(lambda url: url.count("older_than") == 1 and second[-1] in url)
    assert not set(row_ids(page)) & {*first, *second}
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url("**newer_than=**")
    assert row_ids(page) == second
    page.get_by_role("link", name="Newer").click()
    page.wait_for_url(lambda url: second[0] in url)
    # What arrived lies beyond: this page ends where the second began.
    assert row_ids(page) == first
    page.get_by_role("link", name="Newest").click()
    page.wait_for_url("**/?since=all")
    assert set(row_ids(page)[:3]) == {event["id"] for event in arrived}


def test_it_all_works_without_scripts(visit: Open) -> None:
    page = visit("/?since=7d", java_script_enabled=False)
    expect(page.locator("#rows > tr")).to_have_count(50)
    page.locator("#search").fill("login")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?text=login&since=7d")
    page.locator("#rows a").first.click()
    page.wait_for_url("**/events/**")
    expect(page.locator(".detail-title")).to_be_visible()
    page.get_by_role("link", name="Back to the log").click()
    page.wait_for_url("**/?text=login&since=7d")


def test_the_export_holds_all_events_of_the_view(visit: Open) -> None:
    page = visit("/?action=Login&action=Logout")
    count = int(page.locator(".chart-head strong").inner_text().replace(",", ""))
    assert count > 50  # more than the page shows
    with page.expect_download() as exported:
        page.get_by_role("link", name="Export to CSV").click()
    rows = list(csv.DictReader(exported.value.path().read_text("utf-8-sig").splitlines()))
    assert len(rows) == count
    assert {row["Action"] for row in rows} == {"Login", "Logout"}
