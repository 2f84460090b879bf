"""How long charts over one year of daily counts take at ten million events."""

import os
import statistics
import tempfile
import time
from pathlib import Path

from clickhouse_connect.driver.client import Client

from auditbus.runtime.settings import load_settings
from auditbus.sinks.clickhouse import migrate, new_client
from bench.parts import running_store
from bench.report import Measured

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_DAILY_COUNTS_EVENTS", "10000000"))
_ACCOUNTS = 1_000
_SLICE = 500_000
_ROUNDS = 15
_NO_CACHE = {"use_query_cache": 0, "use_query_condition_cache": 0}
# Half of the events in the ten busiest accounts, the other half evenly; 41 actions. One in a
# hundred is stored twice, as after a crash of the sink.
_FILL = """
INSERT INTO audit.events (id, time, received_at, account, action, category, operation, outcome,
    actor_type, actor_id, country_code, ip_text, event, retention_days, version)
WITH intHash64(number) AS r, r % 41 AS a
SELECT
    reinterpretAsUUID(MD5(toString(number))) AS id,
    toDateTime64(today(), 3, 'UTC') - toIntervalSecond(intHash32(number) % (365 * 86400)) AS time,
    time AS received_at,
    concat('account-', toString(intHash32(r) % if(r % 2, 10, {accounts}))) AS account,
    concat('Action', toString(a)) AS action, concat('category', toString(a % 9)) AS category,
    'update' AS operation, if(r % 20 = 0, 'failure', 'success') AS outcome,
    'user' AS actor_type, toString(r % 5000) AS actor_id, 'DE' AS country_code,
    '81.2.69.142' AS ip_text, '{{}}' AS event, 3650 AS retention_days,
    bitNot(toUInt64(toUnixTimestamp64Milli(received_at))) AS version
FROM numbers({start}, {count})
SETTINGS max_partitions_per_insert_block = 0
"""
_YEAR = "day > today() - 365"
_CHARTS = {
    "all_accounts_ms": (
        f"SELECT day, sum(events) FROM audit.daily_counts WHERE {_YEAR} GROUP BY day"
    ),
    **{
        f"all_accounts_by_{key}_ms": (
            f"SELECT day, {key}, sum(events) FROM audit.daily_counts WHERE {_YEAR} "
            f"GROUP BY day, {key}"
        )
        for key in ("outcome", "category", "action")
    },
    "all_accounts_failures_ms": (
        "SELECT day, sumIf(events, outcome = 'failure') / sum(events) FROM audit.daily_counts "
        f"WHERE {_YEAR} GROUP BY day"
    ),
    **{
        f"one_account_by_{key}_ms": (
            f"SELECT day, {key}, sum(events) FROM audit.daily_counts WHERE {_YEAR} "
            f"AND account = 'account-3' GROUP BY day, {key}"
        )
        for key in ("category", "action")
    },
}
# What row policies make of it on a server: the projection has no account, so the rows are read.
_POLICED = {
    "all_accounts_of_an_analyst_ms": _CHARTS["all_accounts_ms"],
    "all_accounts_of_an_analyst_by_category_ms": _CHARTS["all_accounts_by_category_ms"],
}
_FROM_THE_LOG = (
    "SELECT toDate(time) AS day, count() FROM audit.log "
    "WHERE time >= today() - 364 GROUP BY day ORDER BY day"
)


def run() -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name,
        running_store(Path(name)) as (environment, _child),
        new_client(load_settings(environment).clickhouse) as client,
    ):
        migrate(client)
        _fill(client)
        refresh_s = _refresh(client)
        figures = {label: _median_ms(client, sql) for label, sql in _CHARTS.items()}
        for label, sql in _POLICED.items():
            figures[label] = _median_ms(client, sql, optimize_use_projections=0)
        log_ms = _median_ms(client, _FROM_THE_LOG, rounds=3)
        _compare(client)
        (rows, stored_bytes) = client.query(
            "SELECT sum(rows), sum(bytes_on_disk) FROM system.parts "
            "WHERE active AND database = 'audit' AND table = 'daily_counts'"
        ).result_rows[0]
    return Measured(
        question="How long do charts over one year of daily counts take at ten million events?",
        figures={
            **figures,
            "all_accounts_from_the_log_ms": log_ms,
            "refresh_s": refresh_s,
            "counts_rows": rows,
            "counts_bytes": stored_bytes,
        },
        demands=dict.fromkeys(_CHARTS, "under 100"),
        notes=(
            (
                f"{_EVENTS:,} events of one year and {_ACCOUNTS:,} accounts, 1 % of them stored "
                "twice; half in ten accounts. Every day's count is compared with audit.log's."
            ),
            (
                f"Median of {_ROUNDS} queries over HTTP, as a chart sends them; query cache and "
                "query condition cache off."
            ),
            "refresh_s: counting anew, in one thread, as happens every hour.",
            (
                "of_an_analyst: the same without the projection, as where a row policy asks for "
                "the account; the policy's own cost is not in it."
            ),
        ),
    )


def _fill(client: Client) -> None:
    for start in range(0, _EVENTS, _SLICE):
        count = min(_SLICE, _EVENTS - start)
        for again in (count, count // 100):
            client.command(_FILL.format(accounts=_ACCOUNTS, start=start, count=again))


def _refresh(client: Client) -> float:
    # The first, over the empty log, must be done: a refresh asked for meanwhile would be it.
    client.command("SYSTEM WAIT VIEW audit.daily_counts_refresh")
    started = time.monotonic()
    client.command("SYSTEM REFRESH VIEW audit.daily_counts_refresh")
    client.command("SYSTEM WAIT VIEW audit.daily_counts_refresh")
    return time.monotonic() - started


def _median_ms(client: Client, sql: str, *, rounds: int = _ROUNDS, **settings: int) -> float:
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        client.query(sql, settings={**_NO_CACHE, **settings})
        times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times)


def _compare(client: Client) -> None:
    total = client.query("SELECT sum(events) FROM audit.daily_counts").result_rows[0][0]
    assert total == _EVENTS, f"counted {total} of {_EVENTS}"
    counted = client.query(
        "SELECT day, sum(events) FROM audit.daily_counts "
        "WHERE day >= today() - 364 GROUP BY day ORDER BY day"
    ).result_rows
    assert counted == client.query(_FROM_THE_LOG).result_rows
