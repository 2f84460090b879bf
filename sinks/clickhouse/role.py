"""The sink as a process: everything is built here, once, and joined."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.health import HealthServer
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.runtime.shutdown import stop_on_signals
from auditbus.runtime.topic_watch import TopicWatch, topic_id_of
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.consumer import TopicConsumer
from auditbus.sinks.clickhouse.delivery import Delivery
from auditbus.sinks.clickhouse.migrations import check_migrated
from auditbus.sinks.clickhouse.sink import Sink
from auditbus.sinks.clickhouse.writer import Writer

__all__ = ["run", "run_until"]

_log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Store events until SIGTERM or SIGINT; call from the main thread.

    Raises what `run_until` raises. The process may simply be started again: it goes on where it
    last committed.
    """
    run_until(stop_on_signals(), settings)


def run_until(stop: threading.Event, settings: Settings) -> None:
    """Store events until `stop` is set.

    Raises ClickHouseUnreachable or KafkaUnreachable at the start; TopicMisconfigured, StoreRefused
    or OffsetLost where a person must act.
    """
    topic = settings.kafka.topics.enriched
    client = new_client(settings.clickhouse)
    check_migrated(client)
    read_id = partial(topic_id_of, new_admin(settings.kafka), topic)
    dead_letters = DeadLetterWriter(
        new_producer(settings.kafka), settings.kafka.topics.dead_letters
    )
    with closing(client), TopicWatch(read_id, topic) as watch:
        delivery = Delivery(Writer(client), dead_letters, topic_id=watch.topic_id)
        sink = Sink(settings.sink, delivery, watch)
        sink.consumer = TopicConsumer(
            settings.kafka, topic=topic, topic_id=watch.topic_id, before_revoke=sink.before_revoke
        )
        with HealthServer(
            settings.sink.health_host,
            settings.sink.health_port,
            alive=sink.health,
            ready=sink.readiness,
        ):
            _log.info("sink_starting", topic=topic, topic_id=watch.topic_id)
            sink.run(stop)
    _log.info("sink_stopped")
