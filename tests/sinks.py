"""The sink within a test: started in a thread, asked where it stands."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.kafka import new_producer
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.consumer import GROUP
from auditbus.sinks.clickhouse.role import run_until
from tests.backends.parts import ClickHouse, Kafka
from tests.pipeline import environment_of, settings_with_topics, wait_until
from tests.store import encode, enriched_event


def sink_environment(kafka: Kafka, store: ClickHouse, prefix: str, **more: str) -> dict[str, str]:
    return environment_of(
        kafka.bootstrap_servers,
        prefix,
        **{
            "AUDITBUS_CLICKHOUSE_URL": store.url,
            "AUDITBUS_CLICKHOUSE_USERNAME": store.username,
            "AUDITBUS_CLICKHOUSE_PASSWORD": store.password,
            **more,
        },
    )


def sink_settings(kafka: Kafka, store: ClickHouse, prefix: str, **more: str) -> Settings:
    """Return settings whose topics exist."""
    return settings_with_topics(sink_environment(kafka, store, prefix, **more))


class RunningSink:
    """A sink in a thread; `failure` is what ended it."""

    def __init__(self, settings: Settings) -> None:
        self.stop = threading.Event()
        self.failure: Exception | None = None
        self._settings = settings
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            run_until(self.stop, self._settings)
        except Exception as failure:  # noqa: BLE001  # the test looks at it
            self.failure = failure

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> None:
        self.stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive()


@contextmanager
def running_sink(settings: Settings) -> Iterator[RunningSink]:
    sink = RunningSink(settings)
    try:
        yield sink
    finally:
        sink.join()


def publish(settings: Settings, values: Iterable[bytes | None], *, partition: int = -1) -> None:
    """Put values on the enriched topic; acknowledged on return."""
    producer = new_producer(settings.kafka)
    for number, value in enumerate(values):
        where: dict[str, Any] = {} if partition < 0 else {"partition": partition}
        producer.produce(settings.kafka.topics.enriched, value, f"key-{number % 97}", **where)
    assert producer.flush(60) == 0


def publish_enriched(settings: Settings, count: int, account: str, **fields: Any) -> list[str]:
    """Publish `count` good events of one account and return their ids."""
    events = [enriched_event(account, **fields) for _ in range(count)]
    publish(settings, map(encode, events))
    return [event["id"] for event in events]


def committed(settings: Settings) -> dict[int, int]:
    """Return the group's committed offsets by partition."""
    progress = group_progress(settings.kafka, GROUP, settings.kafka.topics.enriched)
    return {p.partition: p.committed for p in progress if p.committed is not None}


def wait_committed(settings: Settings, total: int, *, deadline_s: float = 40) -> None:
    """Wait until `total` records are committed, all partitions together."""
    wait_until(
        lambda: sum(committed(settings).values()) >= total,
        deadline_s=deadline_s,
        what=f"{total} records committed",
    )
