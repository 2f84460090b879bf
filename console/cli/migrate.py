"""`auditbus migrate`: create or upgrade the ClickHouse tables."""

from __future__ import annotations

import click

from auditbus.console.cli.options import pipeline_settings
from auditbus.console.query.connection import connected
from auditbus.runtime.settings import Settings
from auditbus.sinks.clickhouse.migrations import migrate as apply_migrations
from auditbus.sinks.clickhouse.migrations import missing_server_migrations

__all__ = ["migrate"]


@click.command(
    epilog="""\b
Examples:
  auditbus migrate
  AUDITBUS_CLICKHOUSE_URL=http://clickhouse:8123 auditbus migrate"""
)
@pipeline_settings
def migrate(settings: Settings) -> None:
    """Create or upgrade the ClickHouse tables. What is applied already is left alone."""
    with connected(settings.clickhouse) as client:
        applied = apply_migrations(
            client,
            dictionary_user=settings.clickhouse.dictionary_user,
            on_applied=lambda done: click.echo(f"applied {done.version:04}_{done.name}"),
        )
        missing = missing_server_migrations(client)
    for left_out in missing:
        click.echo(
            f"left out {left_out.version:04}_{left_out.name}: "
            "this ClickHouse user may not make roles and row policies",
            err=True,
        )
    if not applied:
        click.echo("the tables are up to date")
