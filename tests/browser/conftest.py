"""A console with a log of some weeks, once for all files here, and a browser for each file.

Playwright's synchronous interface keeps an event loop running in the tests' thread for as long as
the browser is open: left open, it would make every later test of the process run inside a loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import sync_playwright

from auditbus.console.access import Principal
from tests.backends.fixtures import _running_clickhouse
from tests.backends.selection import Backend, absent
from tests.browser.events import demo_events, insert, own_events
from tests.browser.parts import axe_source, chromium
from tests.browser.serving import ADMINISTRATOR, Console, headers_of, running_console
from tests.receivers.debian import Unavailable
from tests.store import migrated_client

Open = Callable[..., Any]
_FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-lcd-text",  # grey edges: the same text on any screen, and smaller pictures
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    try:
        found = chromium()
    except Unavailable as error:
        absent(str(error))
    with sync_playwright() as driver:
        running = driver.chromium.launch(
            executable_path=found.executable, args=_FLAGS, env=found.environment or None
        )
        yield running
        running.close()


@pytest.fixture(scope="session")
def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="session")
def console(
    backend: Backend, now: datetime, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    with _running_clickhouse(backend, tmp_path_factory.mktemp("browser-store")) as store:
        client = migrated_client(store)
        insert(client, [*demo_events(1500, now), *own_events(now)])
        with running_console(store, client, exports=tmp_path_factory.mktemp("exports")) as running:
            yield running
        client.close()


@pytest.fixture(scope="session")
def axe() -> str:
    try:
        return axe_source()
    except Unavailable as error:
        absent(str(error))


@pytest.fixture
def visit(browser: Any, console: Console) -> Iterator[Open]:
    """Call it with a path to get the page; `person` and the context's options may be given.

    At the end no page may have had an error in its scripts, or been refused one by its policy.
    """
    faults: list[str] = []
    with ExitStack() as contexts:

        def visit(
            path: str = "/",
            *,
            person: Principal = ADMINISTRATOR,
            wait_until: str = "load",
            **options: Any,
        ) -> Any:
            options = {
                "viewport": {"width": 1440, "height": 900},
                "timezone_id": "Europe/Berlin",
                "locale": "en-GB",
                "base_url": console.url,
                "extra_http_headers": headers_of(person),
                **options,
            }
            context = browser.new_context(**options)
            contexts.callback(context.close)
            page = context.new_page()
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: faults.append(str(error)))
            page.on(
                "console",
                lambda said: faults.append(said.text) if "Content Security" in said.text else None,
            )
            page.goto(path, wait_until=wait_until)
            return page

        yield visit
    assert faults == []
