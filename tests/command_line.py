"""Run `auditbus` in this process, as a person would type it."""

import logging
from collections.abc import Mapping

import structlog
from click.testing import CliRunner, Result

from auditbus.console.cli import main
from tests.backends.parts import ClickHouse


def auditbus(
    *arguments: str, environment: Mapping[str, str] | None = None, stdin: bytes | str | None = None
) -> Result:
    """Return what the command printed, apart as `stdout` and `stderr`, and its exit code."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers[:], root.level, structlog.get_config()
    try:
        # pytest-xdist sets COLUMNS; a pipe, which this stands for, has no width.
        return CliRunner().invoke(
            main,
            arguments,
            env={"COLUMNS": None, **(environment or {})},
            input=stdin,
            catch_exceptions=False,
        )
    finally:
        # A command sets up the logs of its process, on a standard error that is gone by now.
        root.handlers[:], root.level = handlers, level
        structlog.configure(**configured)
        structlog.contextvars.clear_contextvars()


def store_environment(store: ClickHouse) -> dict[str, str]:
    """Return the settings by which a command reaches `store`."""
    return {
        "AUDITBUS_CLICKHOUSE_URL": store.url,
        "AUDITBUS_CLICKHOUSE_USERNAME": store.username,
        "AUDITBUS_CLICKHOUSE_PASSWORD": store.password,
    }
