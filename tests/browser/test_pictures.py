"""The pictures of the README and of docs/screen.md: `make pictures` takes them anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.browser.serving import DEMO_AUDITOR

Open = Callable[..., Any]
_MOST_BYTES = 220_000
_DESK = {"viewport": {"width": 1440, "height": 740}, "person": DEMO_AUDITOR}
_PHONE = {
    "person": DEMO_AUDITOR,
    "viewport": {"width": 390, "height": 780},
    "device_scale_factor": 1.5,
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return Path(os.environ.get("AUDITBUS_TEST_PICTURES", tmp_path))


def _take(page: Any, path: Path) -> None:
    page.locator("[data-facet]").first.wait_for(state="attached")
    page.evaluate("document.fonts.ready")
    page.mouse.move(1, 1)
    page.screenshot(path=path, animations="disabled")
    assert 10_000 < path.stat().st_size < _MOST_BYTES


def test_the_log_in_light(visit: Open, directory: Path) -> None:
    _take(visit("/", **_DESK), directory / "screen.png")


def test_failures_in_dark(visit: Open, directory: Path) -> None:
    page = visit("/?outcome=failure", color_scheme="dark", **_DESK)
    _take(page, directory / "screen-dark.png")


def test_an_event_beside_the_log(visit: Open, directory: Path) -> None:
    page = visit("/?action=ScheduleUpdated&action=UserSettingsUpdated&outcome=success", **_DESK)
    page.locator("#rows a", has_text="ScheduleUpdated").first.click()
    page.locator("#panel .changes").wait_for()
    _take(page, directory / "screen-event.png")


def test_the_log_on_a_phone(visit: Open, directory: Path) -> None:
    _take(visit("/", **_PHONE), directory / "screen-phone.png")
