"""axe-core finds nothing serious, in every state, light and dark, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.browser.axe import faults as axe_faults
from tests.browser.serving import AUDITOR, NOBODY

Open = Callable[..., Any]
_SIZES = {
    "desktop": {"width": 1440, "height": 900},
    "phone": {"width": 390, "height": 844},
}


@pytest.mark.parametrize("size", _SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Open, axe: str, size: str, scheme: str) -> None:
    options = {"viewport": _SIZES[size], "color_scheme": scheme, "bypass_csp": True}
    page = visit("/?outcome=failure&since=all", **options)
    found = {"log": axe_faults(page, axe)}
    page.locator("#rows a").first.click()
    page.locator("#panel .raw summary").click()
    found["panel"] = axe_faults(page, axe)
    page.goto(page.url)
    found["event"] = axe_faults(page, axe)
    page.goto("/?text=zzzzqqq")
    page.keyboard.press("?")
    found["empty, help"] = axe_faults(page, axe)
    page.goto("/?since=yesterday")
    found["wrong"] = axe_faults(page, axe)
    page = visit("/?scope=accounts", person=AUDITOR, **options)
    if size == "phone":
        page.get_by_role("link", name="Filters", exact=True).click()
    else:
        page.locator("#range summary").click()
    found["menus"] = axe_faults(page, axe)
    found["nobody"] = axe_faults(visit("/", person=NOBODY, **options), axe)
    assert {state: faults for state, faults in found.items() if faults} == {}
