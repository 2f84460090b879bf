"""`auditbus doctor`: is everything as it must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.text import Text

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import listing_format, pipeline_settings
from auditbus.console.cli.safe_text import printable
from auditbus.console.cli.terminal import output_console, print_listing
from auditbus.console.doctor import Finding, Level, examine
from auditbus.runtime.settings import Settings

__all__ = ["doctor"]

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}


@click.command(
    epilog="""\b
Examples:
  auditbus doctor
  auditbus doctor --format json | jq 'select(.level != "ok")'

Exit codes: 0 nothing fails, 1 something does, 3 Kafka or ClickHouse could not be asked."""
)
@listing_format
@pipeline_settings
def doctor(settings: Settings, output: str) -> None:
    """Check settings, packages, databases, Kafka and ClickHouse; say what to change."""
    failed: list[Finding] = []
    findings = _watched(examine(settings), failed)
    if output == "json":
        print_listing({}, (asdict(finding) for finding in findings), output)
    else:
        _print(findings)
    if any(finding.unreachable for finding in failed):
        click.get_current_context().exit(ExitCode.UNREACHABLE)
    if failed:
        click.get_current_context().exit(ExitCode.REFUSED)


def _watched(findings: Iterator[Finding], failed: list[Finding]) -> Iterator[Finding]:
    for finding in findings:
        if finding.level is Level.FAIL:
            failed.append(finding)
        yield finding


def _print(findings: Iterator[Finding]) -> None:
    """Print each line as soon as its check is done: some wait for an answer."""
    console = output_console()
    for finding in findings:
        line = Text(f"{finding.level:<5}", style=_STYLES[finding.level])
        line.append(f"{finding.subject}: ", style="bold")
        line.append(printable(finding.found), style="default not bold")
        console.print(line)
        if finding.change:
            console.print(Text(f"      {printable(finding.change)}", style="default"))
