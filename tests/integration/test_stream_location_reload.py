"""The running worker takes over a replaced location database, and survives a bad one."""

from __future__ import annotations

import re
import shutil
import urllib.request
from pathlib import Path

import orjson

from auditbus.runtime.settings import Settings
from auditbus.schemas.enriched import decode_enriched
from auditbus.streams.enrichment import default_city_path
from tests.backends.parts import Kafka
from tests.integration.test_stream import start_stream
from tests.pipeline import environment_of, event, publish_raw, read_topic, settings_with_topics
from tests.pipeline import wait_until as wait


def country_of_next_event(settings: Settings, number: int) -> str | None:
    publish_raw(settings, [orjson.dumps(event())])
    seen = read_topic(
        settings, settings.kafka.topics.enriched, until=lambda m: len(m) == number, deadline_s=30
    )
    return decode_enriched(max(seen, key=lambda m: m.timestamp()[1]).value()).location.country_code


def test_a_replaced_database_is_taken_over_and_a_bad_one_survived(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    good, database = default_city_path(), tmp_path / "city.mmdb"
    assert good is not None
    database.write_bytes(b"not a database")
    environment = environment_of(
        kafka.bootstrap_servers,
        unique_prefix,
        AUDITBUS_KAFKA_PARTITIONS="1",
        AUDITBUS_STREAM_GEOIP_CITY=str(database),
        AUDITBUS_STREAM_GEOIP_RELOAD_S="0.2",
    )
    settings = settings_with_topics(environment)
    worker = start_stream(environment, tmp_path)

    assert country_of_next_event(settings, 1) is None, "a broken database is no reason to stop"

    shutil.copy(good, tmp_path / "new")
    (tmp_path / "new").replace(database)
    log = tmp_path / "stream.log"
    wait(lambda: "geoip_database_loaded" in log.read_text(), deadline_s=20, what="loaded")
    assert country_of_next_event(settings, 2) == "GB"

    database.write_bytes(b"overwritten in place " * 10)
    address = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
    assert address is not None

    def refused() -> bool:
        with urllib.request.urlopen(f"{address[0]}/metrics", timeout=5) as answer:
            page = answer.read().decode()
        found = re.search(r'audit_geoip_reload_failures_total\{kind="city"\} (\S+)', page)
        return found is not None and float(found[1]) >= 2

    wait(refused, deadline_s=20, what="the bad database was looked at and refused")
    assert country_of_next_event(settings, 3) == "GB", "the old database goes on serving"
    worker.terminate()
    assert worker.wait(15)
