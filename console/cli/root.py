"""The entry point: every command of `auditbus`."""

from __future__ import annotations

import click

from auditbus import __version__
from auditbus.console.cli.group import LazyGroup

__all__ = ["main"]

_CLI = "auditbus.console.cli"
_COMMANDS = {
    "up": (f"{_CLI}.up", "up", "Run the whole pipeline on this machine."),
    "emit": (f"{_CLI}.emit", "emit", "Publish events from NDJSON."),
    "events": (f"{_CLI}.events", "events", "Show events, newest first."),
    "tail": (f"{_CLI}.tail", "tail", "Follow events as they are stored."),
    "export": (f"{_CLI}.export", "export", "Write events to a CSV, NDJSON or Parquet file."),
    "topics": (f"{_CLI}.topics", "topics", "Create or describe the Kafka topics."),
    "migrate": (f"{_CLI}.migrate", "migrate", "Create or upgrade the ClickHouse tables."),
    "doctor": (f"{_CLI}.doctor", "doctor", "Check settings, Kafka, ClickHouse and databases."),
    "dead-letters": (f"{_CLI}.dead_letters", "dead_letters", "List or replay what was refused."),
    "destinations": (
        f"{_CLI}.destinations",
        "destinations",
        "List, try, pause SIEM destinations; replay to one.",
    ),
    "retention": (f"{_CLI}.retention", "retention", "List, set, foresee how long events are kept."),
    "holds": (f"{_CLI}.holds", "holds", "List, set or release legal holds."),
    "token": (f"{_CLI}.token", "token", "Make, list or revoke API tokens."),
    "erase": (f"{_CLI}.erase", "erase_command", "Take a person out of the log."),
    "stream": (f"{_CLI}.roles", "stream", "Run the stream: validate, locate, route."),
    "sink": (f"{_CLI}.roles", "sink", "Run the ClickHouse sink."),
    "forwarder": (f"{_CLI}.roles", "forwarder", "Run the SIEM forwarder."),
    "console": (f"{_CLI}.roles", "console", "Run the audit log screen and the API."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  auditbus up --demo 20
  auditbus emit events.ndjson
  auditbus events --account acme --since 2h
  auditbus tail --outcome failure --format json
  auditbus export --out july.csv --since 2026-07-01 --until 2026-07-31

\b
Exit codes: 0 done, 1 some input was refused, 2 wrong usage or setting,
3 something could not be reached, 4 an export was truncated.""",
)
@click.version_option(__version__, prog_name="auditbus")
def main() -> None:
    """Publish to, read, export and operate a self-hosted audit log.

    Commands find a running local pipeline through --data DIR (default .auditbus), and any other
    through AUDITBUS_* variables or auditbus.toml, which win.
    """
