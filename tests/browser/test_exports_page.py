"""The page of exports: what a person is told before and after, and how the file is taken away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import faults
from tests.browser.serving import AUDITOR, MEMBER, Console

Open = Callable[..., Any]
_MOST = 1_048_575
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_HUGE = "/?account=huge-account&since=all"
_FILL = (
    "INSERT INTO audit.events (id, time, received_at, account, action, event, version)"
    " SELECT generateUUIDv4(), toDateTime64('2001-03-01', 3, 'UTC') + number % 86400, now64(3),"
    " 'huge-account', 'Login', '{}', 1 FROM numbers({rows:UInt64})"
)


@pytest.fixture(scope="module")
def huge(console: Console) -> Iterator[int]:
    """Store one event more than a CSV file may hold."""
    console.client.command(_FILL, parameters={"rows": _MOST + 1})
    yield _MOST + 1
    console.client.command("ALTER TABLE audit.events DROP PARTITION 200103")


def test_one_is_told_before_and_after_that_a_spreadsheet_cannot_hold_all(
    visit: Open, huge: int
) -> None:
    page = visit(_HUGE)
    page.get_by_role("link", name="Export to CSV").click()
    page.wait_for_url("**/exports?account=huge-account&since=all")
    expect(page.locator("#matched")).to_have_text(f"{huge:,}")
    before = page.locator("#too-many")
    expect(before).to_contain_text("only the newest 1,048,575 of these 1,048,576 would be in it")
    form = page.get_by_label("Format")
    assert form.get_attribute("aria-describedby") == "too-many"
    page.get_by_role("button", name="Export", exact=True).click()
    row = page.locator("#own tbody tr").first
    expect(row).to_contain_text("finished", timeout=240_000)  # by itself, without reloading
    expect(row).to_contain_text("Truncated: the newest 1,048,575 of 1,048,576")
    expect(page.get_by_role("status")).to_have_text("The export is finished.")
    with page.expect_download() as manifest:
        row.get_by_role("link", name="Manifest").click()
    told = json.loads(manifest.value.path().read_bytes())
    assert (told["rows"], told["matched"], told["truncated"]) == (_MOST, huge, True)
    with page.expect_download() as file:
        row.get_by_role("link", name="Download").click()
    with file.value.path().open("rb") as lines:
        assert sum(1 for _ in lines) == _MOST + 1


def test_whole_events_have_no_limit_and_say_nothing_of_one(visit: Open) -> None:
    page = visit("/exports?action=Login&since=all", person=MEMBER)
    matched = page.locator("#matched").inner_text()
    assert page.locator("#too-many").count() == 0
    page.get_by_label("Format").select_option("ndjson")
    page.get_by_role("button", name="Export", exact=True).click()
    row = page.locator("#own tbody tr").first
    expect(row).to_contain_text("finished", timeout=60_000)
    expect(row.locator("td").nth(2)).to_have_text(matched)
    with page.expect_download() as file:
        row.get_by_role("link", name="Download").click()
    lines = file.value.path().read_bytes().splitlines()
    assert f"{len(lines):,}" == matched
    row.get_by_role("button", name="Delete").click()
    expect(page.locator("#own")).to_contain_text("None yet.")


def test_what_makes_no_sense_is_said(visit: Open) -> None:
    page = visit("/exports?action=Login", person=AUDITOR)
    page.get_by_label("Format").select_option("parquet")
    page.get_by_label("Compression").select_option("gzip")
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("Parquet compresses itself")
    page.goto("/exports?since=yesterday")  # the log says what is wrong with the view
    expect(page.get_by_role("alert").first).to_contain_text("yesterday")


def test_by_keyboard_alone_and_without_scripts(visit: Open) -> None:
    page = visit("/exports?action=Logout", person=AUDITOR, java_script_enabled=False)
    page.get_by_label("Format").focus()
    for key in ("N", "Tab", "Tab", "Enter"):  # NDJSON, compression, the button
        page.keyboard.press(key)
    page.wait_for_url("**/exports?action=Logout")
    expect(page.locator("#own tbody tr").first).to_contain_text("ndjson")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_goes_sideways(
    visit: Open, axe: str, huge: int, width: int, scheme: str
) -> None:
    page = visit(
        f"/exports{_HUGE[1:]}", viewport={"width": width, "height": 844}, color_scheme=scheme,
        bypass_csp=True,
    )  # fmt: skip
    expect(page.locator("#too-many")).to_contain_text(f"{huge:,}")
    assert page.evaluate(_SIDEWAYS) == 0
    assert faults(page, axe) == []
