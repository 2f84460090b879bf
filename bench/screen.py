"""How long a reader waits for the screen: a real browser, the console's own process, a big log."""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from auditbus.runtime.settings import load_settings
from auditbus.sinks.clickhouse import migrate, new_client
from bench.parts import running_console, running_store
from bench.report import Measured
from tests.browser.parts import chromium

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_CONSOLE_EVENTS", "10000000"))
_VISITS = 40
_SMALL = [f"account-{number}" for number in range(200, 200 + _VISITS)]
_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def run() -> Measured:
    from bench.stored_events import fill, merge_past_months

    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name:
        directory = Path(name)
        with running_store(directory) as (environment, _):
            with new_client(load_settings(environment).clickhouse) as client:
                migrate(client)
                for _ in fill(client, _EVENTS, datetime.now(UTC)):
                    pass
                merge_past_months(client)
            with running_console(directory, environment) as console:
                figures = _measure(console.url, console.token)
    return Measured(
        question="How long until a browser has painted the rows that were asked for?",
        figures=figures,
        demands={"one_account_painted_ms_p95": "under 300"},
        notes=(
            (
                f"{_EVENTS:,} stored events; `auditbus console` and the embedded store on the same "
                "machine as the browser."
            ),
            (
                "painted: first-contentful-paint since the navigation began; the page comes in one "
                "piece, so its rows are painted with it. Each visit is another account's log."
            ),
            "first: with an empty browser cache, so style and scripts are fetched too.",
            "complete: histogram and facets are there as well, where the page did not wait.",
        ),
    )


def _measure(url: str, token: str) -> dict[str, float]:
    found = chromium()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=found.executable,
            args=["--no-sandbox", "--disable-background-networking"],
            env={**os.environ, **found.environment},
        )

        def context() -> Any:
            headers = {"Authorization": f"Bearer {token}"}
            return browser.new_context(extra_http_headers=headers, base_url=url)

        first = [_visit(context(), f"/?account={account}") for account in _SMALL[:10]]
        warm = context()
        _visit(warm, f"/?account={_SMALL[0]}")
        one = [_visit(warm, f"/?account={account}") for account in _SMALL]
        whole = [_visit(warm, f"/?since={hours}h") for hours in range(700, 720)]
        browser.close()
    return {
        "one_account_painted_ms_p95": _p95([painted for painted, _ in one]),
        "one_account_complete_ms_p95": _p95([complete for _, complete in one]),
        "one_account_first_painted_ms_p95": _p95([painted for painted, _ in first]),
        "all_accounts_painted_ms_p95": _p95([painted for painted, _ in whole]),
        "all_accounts_complete_ms_p95": _p95([complete for _, complete in whole]),
    }


def _visit(context: Any, path: str) -> tuple[float, float]:
    """Return the milliseconds until rows are painted, and until everything is there."""
    page = context.new_page()
    page.goto(path, wait_until="load")
    page.locator("#rows > tr").first.wait_for()
    page.locator("[data-facet]").first.wait_for(state="attached", timeout=60_000)
    complete = page.evaluate("performance.now()")
    page.wait_for_function(f"{_PAINTED} !== undefined")
    painted = page.evaluate(_PAINTED)
    page.close()
    return painted, complete


def _p95(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
