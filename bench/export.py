"""How fast exports leave, against the engine's own formats on the same rows in the same run."""

import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from clickhouse_connect.driver.client import Client

from auditbus.console.export import ALL_COLUMNS, Compression, ExportRequest, Format
from auditbus.console.export.reading import NEWEST_FIRST, STORED_ORDER
from auditbus.console.query import EventFilter, event_predicate
from auditbus.runtime.settings import load_settings
from auditbus.sinks.clickhouse import migrate, new_client
from auditbus.sinks.clickhouse.writer import Writer
from bench.parts import running_store
from bench.report import Measured
from bench.sink import enriched_events

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_EXPORT_EVENTS", "1000000"))
_ROUNDS = int(os.environ.get("AUDITBUS_BENCH_EXPORT_ROUNDS", "3"))
_BATCH = 25_000
_READ_BYTES = 1024 * 1024
_ENGINE_SETTINGS = {"output_format_csv_crlf_end_of_line": 1, "use_query_condition_cache": 0}


def run() -> Measured:
    with (
        tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name,
        running_store(Path(name)) as (environment, _),
    ):
        # In processes of their own: what this one did before would hide what an export takes.
        for task in (_fill, _peaks_mib):
            with multiprocessing.get_context("spawn").Pool(1) as alone:
                done = alone.apply(task, (environment,))
        text_mib, parquet_mib = done
        client = new_client(load_settings(environment).clickhouse)
        took: dict[str, list[float]] = {}
        for _ in range(_ROUNDS):
            for label, contender in _contenders(client).items():
                begun_s = time.perf_counter()
                contender()
                took.setdefault(label, []).append(time.perf_counter() - begun_s)
    median_s = {label: statistics.median(values) for label, values in took.items()}
    return Measured(
        question="How fast do exports leave, against the engine's own formats?",
        figures={
            **{f"{label}_rows_per_s": _EVENTS / value for label, value in median_s.items()},
            "csv_of_engine": median_s["engine_csv"] / median_s["csv"],
            "parquet_of_engine": median_s["engine_parquet"] / median_s["parquet"],
            "ndjson_of_engine": median_s["engine_ndjson"] / median_s["ndjson"],
            "peak_memory_mib": text_mib,
            "peak_memory_with_parquet_mib": parquet_mib,
        },
        demands={
            "csv_of_engine": "0.7 or more",
            "parquet_of_engine": "0.7 or more",
            "peak_memory_mib": "under 150",
            "peak_memory_with_parquet_mib": "under 150",
        },
        notes=(
            f"{_EVENTS:,} stored events, merged; each figure the median of {_ROUNDS} rounds.",
            "engine_*: one query by the same client, the same columns and order, thrown away.",
            (
                "The rest: all of an export but the disk: the plan, cells made safe, rows counted, "
                "SHA-256."
            ),
            "peak_memory: of the process that exports, the store being another.",
        ),
    )


def _contenders(client: Client) -> dict[str, Callable[[], None]]:
    text = ", ".join(column.csv_sql or column.sql for column in ALL_COLUMNS)
    typed = ", ".join(f"{column.sql} AS export_{column.name}" for column in ALL_COLUMNS)

    def engine(columns: str, order: str, engine_format: str) -> Callable[[], None]:
        return lambda: _read(client, columns, order, engine_format)

    def own(kind: Format) -> Callable[[], None]:
        return lambda: _export(client, kind)

    return {
        "engine_csv": engine(text, NEWEST_FIRST, "CSVWithNames"),
        "csv": own(Format.CSV),
        "engine_parquet": engine(f"{typed}, event", STORED_ORDER, "Parquet"),
        "parquet": own(Format.PARQUET),
        "engine_ndjson": engine("event", STORED_ORDER, "TSVRaw"),
        "ndjson": own(Format.NDJSON),
    }


def _read(client: Client, columns: str, order: str, engine_format: str) -> None:
    query = f"SELECT {columns} FROM audit.log ORDER BY {order}"
    stream = client.raw_stream(query, fmt=engine_format, settings=_ENGINE_SETTINGS)
    while stream.read(_READ_BYTES):  # type: ignore[union-attr]  # the synchronous client's kind
        pass
    stream.close()  # type: ignore[union-attr]


def _export(client: Client, kind: Format) -> None:
    wanted = EventFilter()
    request = ExportRequest(
        format=kind,
        columns=ALL_COLUMNS,
        compression=Compression.NONE,
        filter=wanted,
        predicate=event_predicate(wanted),
        limit=None,
        exported_by="bench",
    )
    running = request.begin(client)
    for _ in running.pieces():
        pass
    assert running.stream.rows == _EVENTS, running.stream.rows


def _fill(environment: dict[str, str]) -> None:
    client = new_client(load_settings(environment).clickhouse)
    migrate(client)
    writer = Writer(client)
    batch: list[bytes] = []
    for number, (_, event) in enumerate(enriched_events(_EVENTS), 1):
        batch.append(event)
        if len(batch) == _BATCH or number == _EVENTS:
            writer.insert(batch, f"bench:{number}")
            batch.clear()
    client.command("OPTIMIZE TABLE audit.events FINAL")


def _peaks_mib(environment: dict[str, str]) -> tuple[float, float]:
    """Return what this process took at most, after exports as text, and after one as Parquet."""
    client = new_client(load_settings(environment).clickhouse)
    _export(client, Format.CSV)
    _export(client, Format.NDJSON)
    text_mib = _peak_mib()
    _export(client, Format.PARQUET)
    return text_mib, _peak_mib()


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
