"""Logs: one line an occurrence on standard error, a static event name and fields.

Never an event's payload, never a secret.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, cast

import structlog

from auditbus.runtime.settings import LogSettings

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

__all__ = ["configure_logging", "get_logger"]

# They warn of each failed request, which their callers retry, count and report themselves.
_CHATTY = ("clickhouse_connect", "urllib3")


def configure_logging(role: str, settings: LogSettings) -> None:
    """Set up this process's logs; called once at an entry point.

    Libraries that log through `logging` (Faust, aiokafka) come out in the same form.
    """
    level = getattr(logging, settings.level.upper())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.format == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # The default formatter shows local variables, and with them events and secrets.
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # also for libraries that set their own loggers' level
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    if level > logging.DEBUG:
        for name in _CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
    structlog.contextvars.bind_contextvars(role=role)


def get_logger(name: str) -> FilteringBoundLogger:
    """Return the logger of one module."""
    return cast("FilteringBoundLogger", structlog.get_logger(name))
