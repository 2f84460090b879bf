"""The live tail over HTTP: each event once, also after a break; only what may be seen."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import urllib3
from clickhouse_connect.driver.client import Client
from fastapi import FastAPI

from auditbus.console.query.cursor import Cursor
from auditbus.console.query.predicate import Predicate
from auditbus.console.web import live as live_module
from auditbus.console.web.live import Live
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import ADMINISTRATOR, console_app, program, serving
from tests.pipeline import wait_until
from tests.store import encode, enriched_event, migrated_client, rfc3339

_BEGAN = datetime.now(UTC)


@pytest.fixture
def store(fresh_clickhouse: ClickHouse) -> Iterator[Client]:
    """A store of the test's own: the offsets of others would be part of its cursors."""
    with migrated_client(fresh_clickhouse) as made:
        yield made


def put(store: Client, account: str, *offsets: int, partition: int = 0) -> list[str]:
    events = [
        enriched_event(
            account,
            received_at=rfc3339(_BEGAN + timedelta(milliseconds=offset)),  # as brokers do
            origin={"topic": "audit.events", "partition": partition, "offset": offset},
        )
        for offset in offsets
    ]
    Writer(store).insert([encode(event) for event in events], f"test:{uuid7()}")
    return [event["id"] for event in events]


@dataclass
class Tailing:
    """One client; `messages` are ids and data in the order in which they came."""

    url: str
    token: str = ADMINISTRATOR
    query: str = ""
    last: str | None = None
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    is_open: bool = False
    is_over: bool = False

    def __post_init__(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}"}
        if self.last:
            headers["Last-Event-ID"] = self.last
        self._pool = urllib3.PoolManager(retries=False)
        self._response = self._pool.request(
            "GET", f"{self.url}/api/v1/tail?{self.query}", headers=headers, preload_content=False
        )
        assert self._response.status == 200, self._response.data
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        wait_until(lambda: self.is_open, deadline_s=20, what="the tail is open")

    def _read(self) -> None:
        id_ = ""
        try:
            for line in self._response:
                text = line.decode().rstrip("\n")
                if text.startswith("id: "):
                    id_ = text[4:]
                    self.last = id_
                elif text.startswith("data: "):
                    self.messages.append((id_, orjson.loads(text[6:])))
                elif not text and id_:
                    self.is_open = True
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):
            pass  # closed
        self.is_over = True

    @property
    def ids(self) -> list[str]:
        return [event["id"] for _, event in self.messages]

    def wait(self, count: int) -> list[str]:
        wait_until(
            lambda: len(self.messages) >= count, deadline_s=20, what=f"{count} events were tailed"
        )
        return self.ids

    def close(self) -> None:
        self._response.shutdown()  # close() alone waits for the reading thread
        self._thread.join(20)
        self._response.close()
        self._pool.clear()


def _live(app: FastAPI) -> Live:
    live: Live = app.state.live
    return live


def test_events_come_once_and_only_to_those_who_may_see_them(store: Client) -> None:
    app = console_app(store)
    put(store, "ours", 0, 1)
    with serving(app) as url:
        made = program(app).post(
            "/api/v1/tokens", json={"name": "t", "accounts": ["ours"], "expires_in_days": 1}
        )
        everyone = Tailing(url)
        some = Tailing(url, made.json()["token"])
        filtered = Tailing(url, query="text=backups&outcome=failure")
        first = put(store, "ours", 2, 4)
        second = put(store, "theirs", 0, 1, partition=1)
        late = put(store, "ours", 3)  # overtaken
        everyone.wait(5)
        some.wait(3)
        assert sorted(everyone.ids) == sorted([*first, *second, *late])
        assert sorted(some.ids) == sorted([*first, *late])
        assert filtered.ids == []
        for tail in (everyone, some, filtered):
            tail.close()
        wait_until(
            lambda: not _live(app)._subscriptions, deadline_s=20, what="the tails have ended"
        )
        wait_until(
            lambda: all(not one.tails for one in app.state.limits._accounts.values()),
            deadline_s=20,
            what="their places are given back",
        )


def test_a_tail_resumes_after_a_break_and_a_restart_of_the_console(store: Client) -> None:
    put(store, "ours", 0)
    with serving(console_app(store)) as url:
        tail = Tailing(url)
        seen = put(store, "ours", 1, 2, 5)
        assert tail.wait(3) == seen
        after_second = tail.messages[1][0]
        tail.close()
    missed = [*put(store, "ours", 6), *put(store, "ours", 3), *put(store, "new", 0, partition=7)]
    with serving(console_app(store)) as url:
        again = Tailing(url, last=tail.last)
        assert sorted(again.wait(3)) == sorted(missed)
        more = put(store, "ours", 7)
        assert again.wait(4)[3:] == more
        between = Tailing(url, last=after_second)  # broken off within a batch
        assert sorted(between.wait(5)) == sorted([seen[2], *missed, *more])
        again.close()
        between.close()


@pytest.mark.parametrize("last", ["x", "s1~0.1-x", "s1~" + "9" * 40 + ".1", "s1" + "~0.1" * 9000])
def test_a_place_that_is_none_is_refused(store: Client, last: str) -> None:
    answer = program(console_app(store)).get("/api/v1/tail", headers={"Last-Event-ID": last})
    assert (answer.status_code, answer.json()["field"]) == (400, "Last-Event-ID")


def test_one_principal_may_keep_so_many_tails_open(store: Client) -> None:
    app = console_app(store, live_tails=2)
    with serving(app) as url:
        tails = [Tailing(url), Tailing(url)]
        assert program(app).get("/api/v1/tail").status_code == 429
        for tail in tails:
            tail.close()


def test_many_tails_are_one_look_at_the_store(store: Client) -> None:
    app = console_app(store, live_tails=100)
    with serving(app) as url:
        tails = [Tailing(url, query=f"user=u{number % 3}") for number in range(30)]
        began, looks = time.monotonic(), _live(app).looks
        new = put(store, "ours", 0)
        for number, tail in enumerate(tails):
            if number % 3 == 1:
                assert tail.wait(1) == new
        took_s = time.monotonic() - began
        assert _live(app).looks - looks <= took_s / 0.5 + 2
        for tail in tails:
            tail.close()


def test_who_does_not_read_is_cut_off(store: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_QUEUED_MESSAGES", 5)

    async def slow() -> None:
        live = Live(store)
        async with live.subscribed(Predicate("true")) as subscription:
            await asyncio.to_thread(put, store, "ours", *range(20))
            wait = functools.partial(
                wait_until, lambda: subscription.is_cut, deadline_s=20, what="it is cut off"
            )
            await asyncio.to_thread(wait)
            assert await subscription.queue.get() is None

    asyncio.run(slow())


def test_a_cursor_is_what_its_text_says() -> None:
    cursor = Cursor.at({0: 10, 3: 2000}, [(0, 10), (0, 8), (3, 2000)])
    cursor.add(0, 12)
    again = Cursor.parse(str(cursor))
    assert {offset for offset in range(14) if again.has(0, offset)} == {8, 10, 12}
    assert str(again) == str(cursor)
