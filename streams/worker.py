"""Runs one stream worker in this process. More workers in the same group share the partitions."""

from __future__ import annotations

import gc
import logging
from functools import partial

import faust

from auditbus.runtime.health import HealthServer
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_watch import TopicWatch, topic_id_of
from auditbus.streams.app import StreamApp, build_app

__all__ = ["run"]

_log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Block until SIGTERM or SIGINT; what is in hand is published and committed before.

    Raises what `build_app` raises, and the error that made the worker give up.
    """
    _quiet_libraries(settings.log.level)
    topic = settings.kafka.topics.events
    read_id = partial(topic_id_of, new_admin(settings.kafka), topic)
    with TopicWatch(read_id, topic) as watch:
        _run(build_app(settings, watch), settings)


def _run(app: StreamApp, settings: Settings) -> None:
    worker = faust.Worker(
        app,
        loglevel=logging.getLevelName(settings.log.level.upper()),
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        daemon=True,
        workdir=None,
    )
    worker.spinner = None  # it writes terminal codes, wherever the log goes
    collect_garbage_rarely()
    stream = settings.stream
    with HealthServer(stream.health_host, stream.health_port, ready=lambda: _not_ready(app)):
        _log.info("stream_starting", group=app.conf.id, topics=sorted(app.batch_topics))
        try:
            worker.execute_from_commandline()
        except SystemExit as end:  # how Faust ends, in any case
            if app.crash_reason is not None:
                raise app.crash_reason from None
            if end.code:
                raise


def collect_garbage_rarely() -> None:
    """Keep the collector of cycles off the hot path: it took an eighth of the worker's time.

    Every fetch brings thousands of records, which made it look through all that is alive; but
    records and events form no cycles and are freed without it.
    """
    gc.collect()
    gc.freeze()  # modules, rules, caches: here to stay, never looked through again
    gc.set_threshold(50_000, 20, 100)


def _quiet_libraries(level: str) -> None:
    """Keep Faust's own account of starting and stopping for debugging.

    Never aiokafka's: it writes down requests and answers, the SASL password and events in them.
    """
    logging.getLogger("aiokafka").setLevel(logging.INFO)
    if level != "debug":
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _not_ready(app: StreamApp) -> str | None:
    """Say what keeps the stream from working, in a few words."""
    if app.crash_reason is not None:
        return "stopped by an error; see the log"
    if not app.started or app.rebalancing or not app.has_joined:
        return "joining the consumer group"
    return None
