"""Runs one stream worker in this process. More workers in the same group share the partitions."""

from __future__ import annotations

import logging
from contextlib import suppress

import faust

from auditbus.runtime.health import HealthServer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.streams.app import StreamApp, build_app

__all__ = ["run"]

_log = get_logger(__name__)


def run(settings: Settings) -> None:
    """Block until SIGTERM or SIGINT; what is in hand is published and committed before.

    Raises what `build_app` raises, and the error that made the worker give up.
    """
    _quiet_libraries(settings.log.level)
    app = build_app(settings)
    worker = faust.Worker(
        app,
        loglevel=logging.getLevelName(settings.log.level.upper()),
        override_logging=False,
        redirect_stdouts=False,
        quiet=True,
        daemon=True,
        workdir=None,
    )
    stream = settings.stream
    with HealthServer(stream.health_host, stream.health_port, ready=lambda: _not_ready(app)):
        _log.info("stream_starting", group=app.conf.id, topics=sorted(app.batch_topics))
        with suppress(SystemExit):  # how Faust ends; the reason is looked at below
            worker.execute_from_commandline()
    if app.crash_reason is not None:
        raise app.crash_reason


def _quiet_libraries(level: str) -> None:
    """Keep Faust's own account of starting and stopping for debugging."""
    if level != "debug":
        for name in ("faust", "mode", "aiokafka"):
            logging.getLogger(name).setLevel(logging.WARNING)


def _not_ready(app: StreamApp) -> str | None:
    """Say what keeps the stream from working, in a few words."""
    if app.crash_reason is not None:
        return "stopped by an error; see the log"
    if not app.started or app.rebalancing:
        return "joining the consumer group"
    return None
