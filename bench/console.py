"""How fast the API answers over ten million stored events, alone and under load."""

import contextlib
import os
import random
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import orjson
import urllib3

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.sinks.clickhouse import migrate, new_client
from bench.broker import kafka
from bench.parts import RunningConsole, running, running_console, running_store
from bench.report import Measured
from bench.sink import enriched_events
from bench.stored_events import fill, merge_past_months

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_CONSOLE_EVENTS", "10000000"))
# A directory whose store is filled already, to try something out; else one is made and removed.
_FILLED = os.environ.get("AUDITBUS_BENCH_CONSOLE_STORE")
_ROUNDS = 40
_READERS = 50
_READING_S = 20.0
_SINK_EVENTS_PER_S = 5_000
_TAILS = 200
_CONSOLE = {"AUDITBUS_CONSOLE_REQUESTS_PER_S": "1000"}
_COMBINATIONS: tuple[tuple[str, dict[str, str]], ...] = (
    ("failures", {"outcome": "failure"}),
    ("deletions this week", {"action": "StorageDeleted", "since": "7d"}),
    ("category", {"category": "backup"}),
    ("country", {"country": "GB"}),
    ("network", {"ip": "81.0.0.0/8"}),
    ("device", {"device": "chrome 131"}),
    (
        "last month, failures of sessions",
        {"category": "session", "outcome": "failure", "since": "30d"},
    ),
    ("words", {"text": "quota exceeded"}),
    ("error", {"error": "E42", "since": "90d"}),
    (
        "country, device and action",
        {"country": "DE", "device": "windows", "action": "AccountUpdated"},
    ),
)
_WORDS = (
    "fischer",
    "ann garcia",
    "berlin quota",
    "gdynia",
    "schedule kowalski",
    "hiro",
    "e42 pune",
    "lena.jones26@example.org",
)


def run() -> Measured:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name, kafka() as servers:
        directory = Path(name)
        filled = Path(_FILLED) if _FILLED else directory / "store"
        with running_store(directory, filled) as (environment, _):
            environment |= {"AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers}
            settings = load_settings(environment)
            create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
            with new_client(settings.clickhouse) as client:
                migrate(client)
                if not _FILLED:
                    for _ in fill(client, _EVENTS, datetime.now(UTC)):
                        pass
                    merge_past_months(client)
            with running_console(directory, environment, **_CONSOLE) as console:
                figures = _alone(console)
                figures |= _under_load(console, settings, directory, environment)
            with running_console(directory, environment, **_CONSOLE) as console:
                figures |= _tails(console)
    return Measured(
        question="How fast does the API answer over ten million events?",
        figures=figures,
        demands={
            "one_account_first_page_ms_p95": "under 60",
            "ten_combinations_one_account_ms_p95": "under 150",
            "all_accounts_newest_page_ms_p95": "under 150",
            "all_accounts_words_30_days_ms_p95": "under 300",
            "errors_of_50_readers": "0",
            "console_mb_with_200_tails": "under 300",
        },
        notes=(
            (
                f"{_EVENTS:,} stored events of 170 days and 5,000 accounts, past months merged, "
                "this one as it is; `auditbus console` over HTTP, connections kept."
            ),
            (
                "No condition is asked twice (another account, another word, another moment), so "
                "the query condition cache cannot help."
            ),
            "phrase: `repo-N`, words that must stand side by side, which the index does not know.",
            (
                f"load: {_READERS} tokens read pages of their accounts without pause, while "
                f"`auditbus sink` stores {_SINK_EVENTS_PER_S:,} events a second from Kafka."
            ),
            "tails: resident memory of a whole console, just started, with 200 tails of 50 tokens.",
        ),
    )


def _alone(console: RunningConsole) -> dict[str, float]:
    pool = _pool(console)
    draw = random.Random(2)

    def timed(path: str, **parameters: str) -> float:
        begun = time.perf_counter()
        answer = pool.request("GET", f"{console.url}/api/v1/{path}?{urlencode(parameters)}")
        took_ms = (time.perf_counter() - begun) * 1e3
        assert answer.status == 200, answer.data
        return took_ms

    def account() -> str:
        return f"account-{int(draw.random() ** 3 * 5_000)}"

    for _ in range(5):  # the store has just been started
        timed("events", account=account())
    first = [timed("events", account=account()) for _ in range(_ROUNDS)]
    largest = [timed("events", account="account-0", limit=str(40 + n % 20)) for n in range(_ROUNDS)]
    combined = {
        name: [timed("events", account=account(), **asked) for _ in range(12)]
        for name, asked in _COMBINATIONS
    }
    newest = [timed("events", limit=str(40 + number % 20)) for number in range(_ROUNDS)]
    words = [timed("events", text=word, since="30d") for word in _WORDS for _ in range(3)]
    phrases = [
        timed("events", text=f"repo-{draw.randrange(20_000)}", since="30d") for _ in range(6)
    ]
    numbers = [timed("stats", account=account(), since="30d") for _ in range(12)]
    all_numbers = [timed("stats", since="30d") for _ in range(3)]
    return {
        "one_account_first_page_ms_p95": _p95(first),
        "largest_account_first_page_ms_p95": _p95(largest),
        "ten_combinations_one_account_ms_p95": _p95(
            [ms for times in combined.values() for ms in times]
        ),
        "slowest_combination_ms_p95": max(_p95(times) for times in combined.values()),
        "all_accounts_newest_page_ms_p95": _p95(newest),
        "all_accounts_words_30_days_ms_p95": _p95(words),
        "all_accounts_phrase_30_days_ms_p95": _p95(phrases),
        "one_account_stats_30_days_ms_p95": _p95(numbers),
        "all_accounts_stats_30_days_ms_p95": _p95(all_numbers),
    }  # fmt: skip


def _tokens(console: RunningConsole, count: int) -> list[str]:
    pool = _pool(console)
    found = []
    for number in range(count):
        body = {
            "name": f"reader {number}",
            "accounts": [f"account-{number * 20}"],
            "expires_in_days": 1,
        }
        answer = pool.request("POST", f"{console.url}/api/v1/tokens", json=body)
        assert answer.status == 201, answer.data
        found.append(orjson.loads(answer.data)["token"])
        time.sleep(0.02)  # within the limit of one principal
    return found


def _under_load(
    console: RunningConsole, settings: Settings, directory: Path, environment: dict[str, str]
) -> dict[str, float]:
    tokens = _tokens(console, _READERS)
    health = free_port()
    sink = Child(
        "sink",
        [sys.executable, "-m", "auditbus.console", "sink"],
        environment={**os.environ, **environment, "AUDITBUS_SINK_HEALTH_PORT": str(health)},
        log=directory / "sink.log",
    )
    ended = threading.Event()
    with running(sink, f"http://{LOOPBACK}:{health}/readyz"):
        publishing = threading.Thread(target=_publish, args=(settings, ended))
        publishing.start()
        try:
            with ThreadPoolExecutor(_READERS) as threads:
                found = list(threads.map(lambda token: _read(console, token), tokens))
        finally:
            ended.set()
            publishing.join()
    times = [took_ms for times, _ in found for took_ms in times]
    return {
        "errors_of_50_readers": sum(errors for _, errors in found),
        "pages_per_s_of_50_readers": len(times) / _READING_S,
        "page_ms_p95_of_50_readers": _p95(times),
    }


def _read(console: RunningConsole, token: str) -> tuple[list[float], int]:
    pool, times, errors = _pool(console, token), [], 0
    cursor: dict[str, str] = {}
    until = time.monotonic() + _READING_S
    while time.monotonic() < until:
        begun = time.perf_counter()
        answer = pool.request("GET", f"{console.url}/api/v1/events?{urlencode(cursor)}")
        times.append((time.perf_counter() - begun) * 1e3)
        if answer.status != 200:
            errors += 1
            continue
        older = orjson.loads(answer.data)["older"]
        cursor = {"older_than": older} if older else {}
    return times, errors


def _publish(settings: Settings, ended: threading.Event) -> None:
    producer = new_producer(settings.kafka)
    events = enriched_events(10**9)
    per_turn = _SINK_EVENTS_PER_S // 10
    due = time.monotonic()
    while not ended.is_set():
        for _ in range(per_turn):
            account, value = next(events)
            producer.produce(settings.kafka.topics.enriched, value, account)
        producer.poll(0)
        due += 0.1
        ended.wait(max(0.0, due - time.monotonic()))
    producer.flush(30)


def _tails(console: RunningConsole) -> dict[str, float]:
    before = _resident_mb(console.child)
    tokens = _tokens(console, 50)
    with contextlib.ExitStack() as stack:
        for number in range(_TAILS):
            pool = _pool(console, tokens[number % len(tokens)])
            answer = pool.request("GET", f"{console.url}/api/v1/tail", preload_content=False)
            assert answer.status == 200, answer.data
            stack.callback(answer.close)
            stack.callback(answer.shutdown)
        time.sleep(20)  # heartbeats and looks
        return {
            "console_mb_before_tails": before,
            "console_mb_with_200_tails": _resident_mb(console.child),
        }


def _resident_mb(child: Child) -> float:
    lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]


def _pool(console: RunningConsole, token: str = "") -> urllib3.PoolManager:
    return urllib3.PoolManager(
        headers={"Authorization": f"Bearer {token or console.token}"}, retries=False, maxsize=4
    )
