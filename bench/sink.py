"""How many rows a second the sink stores per core: its own CPU and the engine's together."""

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from clickhouse_connect.driver.client import Client
from confluent_kafka import Producer

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from auditbus.deploy.local.probes import http_answers
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.schemas.ids import uuid7
from auditbus.schemas.timestamps import format_epoch_ms
from auditbus.sinks.clickhouse import migrate, new_client
from auditbus.sinks.clickhouse.consumer import GROUP
from bench.broker import kafka
from bench.parts import running_store, wait_until
from bench.report import Measured

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_SINK_EVENTS", "300000"))
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_SIZES = "SELECT sum(data_compressed_bytes), sum(rows) FROM system.parts WHERE active AND {}"


def run() -> Measured:
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name, kafka() as servers:
        directory = Path(name)
        with running_store(directory) as (environment, store):
            environment |= {
                "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers,
            }
            settings = load_settings(environment)
            client = new_client(settings.clickhouse)
            migrate(client)
            create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
            client.command("SYSTEM STOP MERGES audit.events")
            figures = _measure(settings, environment, store, directory)
            merge_us = _merge_us(client, store)
            rows = client.query("SELECT count(), uniqExact(id) FROM audit.log").result_rows[0]
            assert rows == (_EVENTS, _EVENTS), f"stored and distinct: {rows}"
            stored_bytes = _stored_bytes(client)
    return Measured(
        question="How many rows a second does the sink store per core, the original kept?",
        figures={
            **figures,
            "engine_merge_us_a_row": merge_us,
            "stored_bytes_an_event": stored_bytes,
        },
        demands={"rows_per_s_per_core": "at least 60,000, or what bounds it"},
        notes=(
            f"{_EVENTS:,} enriched events wait in Kafka; `auditbus sink` with default settings.",
            (
                "CPU is the sink's process and the store's (HTTP interface and engine), from the "
                "first record read to the last commit, merges off."
            ),
            (
                "What bounds it, part by part, in µs a row: parsing a line, judging its types and "
                "filling 37 columns 8 to 10; sorting, compressing (ZSTD(3) for the original) and "
                "writing them 5; the embedded store's HTTP interface 4, which a server has not; "
                "the sink's reading from Kafka 3 and sending 3."
            ),
            (
                "engine_merge_us_a_row: what one merge of all parts into one costs afterwards, "
                "the text index built in it; in practice a row is merged a few times."
            ),
        ),
    )


def _measure(
    settings: Settings, environment: dict[str, str], store: Child, directory: Path
) -> dict[str, float]:
    port = free_port()
    sink = Child(
        "sink",
        [sys.executable, "-m", "auditbus.console", "sink"],
        environment={**os.environ, **environment, "AUDITBUS_SINK_HEALTH_PORT": str(port)},
        log=directory / "sink.log",
    )
    events = list(enriched_events(_EVENTS))
    sink.start()
    try:
        wait_until(lambda: http_answers(f"http://{LOOPBACK}:{port}/readyz"))
        # Held while the topic is filled, so that it finds full batches, as after an outage.
        os.kill(sink.pid, signal.SIGSTOP)
        _publish(settings, events)
        sink_before_s, engine_before_s = _cpu_s(sink), _cpu_s(store)
        begun_s = time.perf_counter()
        os.kill(sink.pid, signal.SIGCONT)
        wait_until(lambda: _committed(settings) == _EVENTS)
        took_s = time.perf_counter() - begun_s
        sink_s, engine_s = _cpu_s(sink) - sink_before_s, _cpu_s(store) - engine_before_s
    finally:
        sink.stop(10)
    return {
        "rows_per_s_per_core": _EVENTS / (sink_s + engine_s),
        "rows_per_s": _EVENTS / took_s,
        "sink_us_a_row": sink_s / _EVENTS * 1e6,
        "engine_us_a_row": engine_s / _EVENTS * 1e6,
        "event_bytes": sum(len(value) for _, value in events) / _EVENTS,
    }


def _committed(settings: Settings) -> int:
    progress = group_progress(settings.kafka, GROUP, settings.kafka.topics.enriched)
    return sum(item.committed or 0 for item in progress)


def _cpu_s(child: Child) -> float:
    """Return the processor time of a process, all its threads."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _stored_bytes(client: Client) -> float:
    columns = _SIZES.format("database = 'audit' AND table = 'events'")
    size, rows = client.query(columns).result_rows[0]
    return float(size) / float(rows)


def _merge_us(client: Client, store: Child) -> float:
    before_s = _cpu_s(store)
    client.command("SYSTEM START MERGES audit.events")
    client.command("OPTIMIZE TABLE audit.events FINAL")
    return (_cpu_s(store) - before_s) / _EVENTS * 1e6


def enriched_events(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield accounts and events as the stream writes them, the same each time but for ids."""
    draw = random.Random(1)
    return (_event(draw, number) for number in range(count))


def _publish(settings: Settings, events: list[tuple[str, bytes]]) -> None:
    producer = new_producer(settings.kafka)
    for account, value in events:
        _produce(producer, settings.kafka.topics.enriched, account, value)
    assert producer.flush(60) == 0


def _produce(producer: Producer, topic: str, key: str, value: bytes) -> None:
    while True:
        try:
            producer.produce(topic, value, key)
        except BufferError:
            producer.poll(0.1)
        else:
            return


def _event(draw: random.Random, number: int) -> tuple[str, bytes]:
    """Return an account and an event of the size and variety that a product has."""
    user = draw.randrange(5_000)
    account = f"acct-{user % 300}"
    now = format_epoch_ms(time.time_ns() // 1_000_000)
    address = f"{user % 223 + 1}.{user % 256}.{user * 7 % 256}.{user * 13 % 256}"
    browser = f"Chrome/{100 + user % 40}.0.0.0"
    event = {
        "id": uuid7(),
        "schema_version": 1,
        "action": draw.choice(("StorageDeleted", "Login", "BackupCompleted", "RepositoryAdded")),
        "occurred_at": now,
        "account": {"id": account, "name": f"Account {user % 300}"},
        "actor": {
            "type": "user",
            "id": str(user),
            "name": f"User {user}",
            "email": f"u{user}@example.org",
        },
        "targets": [
            {
                "type": "repository",
                "id": str(draw.randrange(10**6)),
                "name": f"repo-{draw.randrange(2_000)}",
            }
        ],
        "description": f"did something to repo-{draw.randrange(2_000)} in plan {number % 10}",
        "context": {
            "ip": address,
            "user_agent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 "
            f"(KHTML, like Gecko) {browser} Safari/537.36",
            "request_id": f"{draw.getrandbits(128):032x}",
        },
        "metadata": {"plan": "pro", "number": number},
        "producer": {
            "service": "api",
            "version": "1.2",
            "instance": "h1",
            "epoch": 1,
            "seq": number,
        },
        **({"error": {"code": "E42", "message": "quota exceeded"}} if number % 33 == 0 else {}),
        "received_at": now,
        "category": "storage",
        "operation": "delete",
        "location": {
            "country_code": "GB",
            "country": "United Kingdom",
            "region": "England",
            "city": "London",
            "latitude": 51.5,
            "longitude": -0.1,
            "label": "London, United Kingdom",
            "database": "DBIP-City-Lite",
        },
        "device": {
            "type": "desktop",
            "os": "Windows",
            "os_version": "10",
            "browser": "Chrome",
            "browser_version": str(100 + user % 40),
            "is_bot": False,
            "label": f"Chrome {100 + user % 40} on Windows 10/11",
        },
        "origin": {"topic": "audit.events", "partition": number % 12, "offset": number},
    }
    return account, orjson.dumps(event)
