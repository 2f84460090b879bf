"""`auditbus stream`, `sink`, `forwarder`, `console`: one long-running role each, for production."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from pathlib import Path

import click

from auditbus.runtime.extras import requires_extra
from auditbus.runtime.settings import load_settings

__all__ = ["console", "forwarder", "sink", "stream"]

_config = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings file.  [default: AUDITBUS_CONFIG, else ./auditbus.toml]",
)
_EPILOG = """\b
Examples:
  auditbus {role}
  AUDITBUS_KAFKA_BOOTSTRAP_SERVERS=kafka:9092 auditbus {role} --config /etc/auditbus.toml

Start it several times to scale: the processes share the partitions. SIGTERM ends it in good order.
Its health and metrics are on the port of AUDITBUS_{upper}_HEALTH_PORT."""


def _epilog(role: str) -> str:
    return _EPILOG.format(role=role, upper=role.upper())


@click.command(epilog=_epilog("stream"))
@_config
def stream(config: Path | None) -> None:
    """Run the stream: validate raw events, add location and device, route them."""
    _run("stream", "stream", "auditbus.streams.worker", config)


@click.command(epilog=_epilog("sink"))
@_config
def sink(config: Path | None) -> None:
    """Run the sink: store enriched events in ClickHouse."""
    _run("sink", "clickhouse", "auditbus.sinks.clickhouse", config)


@click.command(epilog=_epilog("forwarder"))
@_config
def forwarder(config: Path | None) -> None:
    """Run the forwarder: push events to the destinations of the settings file.

    Destinations that are changed in the file are taken up while it runs.
    """
    reload = partial(load_settings, config_file=config)
    _run("forwarder", "forwarder", "auditbus.sinks.siem", config, reload=reload)


@click.command(
    epilog="""\b
Examples:
  auditbus console
  AUDITBUS_CLICKHOUSE_URL=http://clickhouse:8123 auditbus console --config /etc/auditbus.toml

Start it several times behind a load balancer to scale. SIGTERM ends it in good order. It serves at
AUDITBUS_CONSOLE_HOST and AUDITBUS_CONSOLE_PORT: the screen, the API, health and metrics."""
)
@_config
def console(config: Path | None) -> None:
    """Run the console: the audit log screen and the API."""
    _run("console", "console", "auditbus.console.web", config)


def _run(role: str, extra: str, module: str, config: Path | None, **options: object) -> None:
    settings = load_settings(config_file=config)
    with requires_extra(extra):
        from auditbus.runtime.logging import configure_logging

        run = import_module(module).run
    configure_logging(role, settings.log)
    run(settings, **options)
