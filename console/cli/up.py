"""`auditbus up`: everything on one machine."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from auditbus.runtime.extras import requires_extra
from auditbus.runtime.logging import configure_logging
from auditbus.runtime.settings import load_settings
from auditbus.runtime.shutdown import stop_on_signals

__all__ = ["up"]

_EPILOG = """\b
Examples:
  auditbus up --demo 20                       a broker, a store, and 20 made-up events a second
  auditbus up --data /var/lib/auditbus        keep the events there
  auditbus up --kafka 10.0.0.5:9092           use a Kafka that runs already
"""


@click.command(epilog=_EPILOG)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory that keeps events, ports and the token.  [default: .auditbus]",
)
@click.option(
    "--demo",
    "demo_rate",
    type=click.IntRange(min=1),
    metavar="RATE",
    help="Publish RATE made-up events a second, and push them to a webhook receiver here.",
)
@click.option(
    "--kafka", metavar="HOST:PORT", help="Use this Kafka instead of running one; settings apply."
)
@click.option(
    "--clickhouse",
    metavar="URL",
    help="Use this ClickHouse instead of the embedded engine; settings apply.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    help="Port of the screen and the API.",
)
def up(
    data: Path | None, demo_rate: int | None, kafka: str | None, clickhouse: str | None, port: int
) -> None:
    """Run the whole pipeline on this machine until Ctrl-C.

    Nothing but this machine can reach it. A second `up` on the same directory is refused; after
    any kind of end, the next one goes on where this one stopped.
    """
    with requires_extra("local"):
        for package in ("aiohttp", "chdb"):  # the store's own, which runs as a child
            if find_spec(package) is None:
                raise ModuleNotFoundError(name=package)
        from auditbus.deploy.local.endpoints import Endpoints
        from auditbus.deploy.local.up import UpOptions, run_pipeline

    settings = load_settings()
    configure_logging("up", settings.log)
    directory = data or settings.data_dir

    def announce(endpoints: Endpoints) -> None:
        click.secho(f"\nauditbus runs in {directory}", bold=True)
        click.echo(f"  Console     {endpoints.console}/sign-in#token={endpoints.token}")
        click.echo("              (signs you in as administrator: keep it to yourself)")
        click.echo(f"  Kafka       {endpoints.kafka}")
        where = f"{directory}/token" if endpoints.password is None else "as you gave it"
        click.echo(f"  ClickHouse  {endpoints.clickhouse}  (its password: {where})")
        click.echo(f"  Read        auditbus tail --data {directory}")
        click.echo(f"              auditbus events --data {directory}")
        click.echo("  Stop        Ctrl-C\n")

    run_pipeline(
        UpOptions(
            data=directory, demo_rate=demo_rate, kafka=kafka, clickhouse=clickhouse, port=port
        ),
        os.environ,
        stop_on_signals(),
        terminal=sys.stderr,
        ready=announce,
    )
