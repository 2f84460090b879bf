"""`auditbus topics create|describe`."""

from __future__ import annotations

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.terminal import print_listing
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import create_topics, describe_topics, differences, specs_for

__all__ = ["topics"]

_COLUMNS = {
    "name": "Topic",
    "partitions": "Partitions",
    "replication_factor": "Replicas",
    "retention": "Retention",
    "timestamp_type": "Timestamps",
    "differences": "Not as it should be",
}
_DAY_MS = 24 * 60 * 60 * 1000


@click.group(
    epilog="""\b
Examples:
  auditbus topics create
  auditbus topics describe"""
)
def topics() -> None:
    """Create or describe the Kafka topics."""


@topics.command(
    epilog="""\b
Examples:
  auditbus topics create
  AUDITBUS_KAFKA_PARTITIONS=24 AUDITBUS_KAFKA_REPLICATION_FACTOR=3 \\
  AUDITBUS_KAFKA_MIN_INSYNC_REPLICAS=2 auditbus topics create"""
)
@pipeline_settings
def create(settings: Settings) -> None:
    """Create the topics that are missing. One that exists and differs is refused, not changed."""
    created = create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
    for name in created:
        click.echo(f"created {name}")
    if not created:
        click.echo("all topics exist as they should")


@topics.command(
    short_help="Show the topics and what is not as it should be.",
    epilog="""\b
Examples:
  auditbus topics describe
  auditbus topics describe --format json | jq 'select(.differences != [])'""",
)
@listing_format
@pipeline_settings
def describe(settings: Settings, output: str) -> None:
    """Show the topics as they are, and how they differ from what they should be."""
    specs = specs_for(settings.kafka)
    found = describe_topics(new_admin(settings.kafka), [spec.name for spec in specs])
    rows = []
    for spec in specs:
        state = found.get(spec.name)
        rows.append(
            {
                "name": spec.name,
                "partitions": state.partitions if state else None,
                "replication_factor": state.replication_factor if state else None,
                "retention": _retention(state.config) if state else None,
                "timestamp_type": state.config.get("message.timestamp.type") if state else None,
                "differences": differences(spec, state),
            }
        )
    print_listing(_COLUMNS, rows, output)
    if any(row["differences"] for row in rows):
        click.get_current_context().exit(ExitCode.REFUSED)


def _retention(config: dict[str, str]) -> str:
    if "compact" in config.get("cleanup.policy", ""):
        return "newest of each key"
    ms = int(config.get("retention.ms", "-1"))
    return "for ever" if ms < 0 else f"{ms / _DAY_MS:g} days"
