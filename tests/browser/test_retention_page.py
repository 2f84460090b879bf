"""The page of retention: shortening is asked about, waits and can be cancelled; holds."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.axe import faults
from tests.browser.serving import MEMBER, Console

Open = Callable[..., Any]
_SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def _card(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=name)


def _ask(page: Any, account: str, days: int) -> None:
    card = _card(page, "Periods")
    card.get_by_label("Account").fill(account)
    card.get_by_label("Days").fill(str(days))
    card.get_by_label("Days").press("Enter")


@pytest.fixture
def account(console: Console, unique_prefix: str) -> str:
    """Return one with three events that were received a hundred days ago."""
    name = f"{unique_prefix}kept"
    console.client.command(
        "INSERT INTO audit.events (id, time, received_at, account, action, event, version)"
        " SELECT generateUUIDv4(), now64(3) - INTERVAL 100 DAY, now64(3) - INTERVAL 100 DAY,"
        " {account:String}, 'Login', '{}', 1 FROM numbers(3)",
        parameters={"account": name},
    )
    return name


def test_a_shorter_period_is_confirmed_with_its_number_and_waits(
    visit: Open, console: Console, account: str
) -> None:
    page = visit("/")
    page.get_by_role("link", name="Retention", exact=True).click()
    _ask(page, account, 30)
    asked = _card(page, f"Delete 3 events of {account}?")
    expect(asked).to_contain_text("Until then it can be cancelled here")
    assert _card(page, "Waiting").count() == 0
    asked.get_by_role("link", name="Keep them").click()
    page.wait_for_url("**/retention")
    _ask(page, account, 30)
    asked.get_by_role("button", name="Delete them then").click()
    waiting = _card(page, "Waiting")
    expect(waiting).to_contain_text(account)
    due = datetime.fromisoformat(waiting.locator("time").get_attribute("datetime"))
    assert 23.9 < (due - datetime.now(UTC)).total_seconds() / 3600 < 24.1
    waiting.get_by_role("button", name=f"Cancel the change of {account}").press("Enter")
    expect(page.get_by_role("heading", name="Waiting")).to_have_count(0)
    stored = console.client.query(
        "SELECT count() FROM audit.events WHERE account = {account:String}",
        parameters={"account": account},
    )
    assert stored.first_row == (3,)


def test_a_longer_period_is_set_at_once(visit: Open, account: str) -> None:
    page = visit("/retention")
    _ask(page, account, 400)
    expect(_card(page, "Periods").get_by_role("row", name=account)).to_contain_text("400")


def test_a_hold_is_set_and_released_and_stays_on_record(visit: Open, account: str) -> None:
    page = visit("/retention")
    card = _card(page, "Legal holds")
    card.get_by_label("Account").fill(account)
    card.get_by_label("Reason").fill("case <7>")
    card.get_by_role("button", name="Hold", exact=True).click()
    row = card.get_by_role("row", name=account)
    expect(row).to_contain_text("case <7>")
    row.get_by_role("button", name="Release the hold: case <7>").click()
    expect(row.get_by_role("button")).to_have_count(0)
    expect(row).to_contain_text("t:administrator")


def test_only_administrators_are_led_there(visit: Open) -> None:
    page = visit("/", person=MEMBER)
    expect(page.get_by_role("link", name="Retention", exact=True)).to_have_count(0)


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_and_nothing_goes_sideways(
    visit: Open, axe: str, account: str, width: int, scheme: str
) -> None:
    page = visit(
        "/retention", viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True
    )
    _ask(page, account, 30)
    expect(page.get_by_role("button", name="Delete them then")).to_be_visible()
    assert page.evaluate(_SIDEWAYS) == 0
    assert faults(page, axe) == []
    page.get_by_role("button", name="Delete them then").click()
    expect(page.get_by_role("heading", name="Waiting")).to_be_visible()
    assert faults(page, axe) == []
