"""`auditbus emit`: publish events, and other systems' audit records as events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click

from auditbus.console.cli.emit_progress import EmitProgress
from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import pipeline_settings
from auditbus.console.cli.safe_text import printable
from auditbus.console.cli.terminal import note
from auditbus.console.producing import check_topic, producer_of
from auditbus.console.sources import FORMATS, Chunks, SourceFormat, split_lines, split_records
from auditbus.console.sources.pool import usable_processors
from auditbus.console.sources.preparing import Preparation
from auditbus.console.sources.publishing import Publisher, Tally
from auditbus.producers import AuditProducer, DeliveryFailed
from auditbus.runtime.settings import Settings

__all__ = ["emit"]

_DELIVERY_TIMEOUT_S = 30.0
_PROGRESS_EVERY = 1_000
_STDIN = "-"
_NDJSON = "ndjson"


@click.command(
    epilog="""\b
Examples:
  auditbus emit events.ndjson
  echo '{"action": "Login", "account": {"id": "acme"},
         "actor": {"type": "user", "id": "u-17"}}' | tr -d '\\n' | auditbus emit
  auditbus emit --format cloudtrail AWSLogs/*/CloudTrail/*/*/*/*/*.json.gz
  auditbus emit --format github --dry-run export-acme.json
  auditbus emit --format kubernetes --account prod-eu audit.log
  auditbus emit --format okta --account acme.okta.com < system-log.json

ndjson is one event a line. id, schema_version, occurred_at, account and description are filled
in where they are absent, as the producer SDK does. The other formats take single records, arrays,
{"Records": [...]} and one record a line; ids derive from the records, so that importing a file
again stores nothing twice. Any input may be gzip. What is refused is named by line, or by its
number in an array, and by field; the exit code is then 1."""
)
@click.argument(
    "files",
    metavar="[FILE]...",
    nargs=-1,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=str),
)
@click.option(
    "--format",
    "name",
    type=click.Choice((_NDJSON, *FORMATS)),
    default=_NDJSON,
    show_default=True,
    help="Whose records they are.",
)
@click.option(
    "--account",
    metavar="ID",
    help="Account of all records. Default: the AWS account, the GitHub organization. "
    "Kubernetes and Okta records name none: give the cluster, the organization's host.",
)
@click.option("--dry-run", is_flag=True, help="Read and judge everything; publish nothing.")
@click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(min=1),
    default=usable_processors,
    show_default="one for each processor",
    help="Worker processes for long inputs; 1: none.",
)
@pipeline_settings
def emit(
    settings: Settings,
    files: Sequence[str],
    name: str,
    account: str | None,
    dry_run: bool,
    processes: int,
) -> None:
    """Publish the events or audit records of each FILE (default, and -: standard input)."""
    source = _source(name, account)
    paths = files or (_STDIN,)
    preparation = Preparation(
        None if source is None else name, account, settings.operator_account, settings.catalogue
    )
    with _producer(settings, dry_run=dry_run) as producer:
        publisher = Publisher(
            producer, preparation, lambda text: note(printable(text)), processes=processes
        )
        try:
            _publish_all(paths, source, publisher)
        finally:
            publisher.close()
            # Also when interrupted: what was queued is published, and counted.
            publisher.finish(_DELIVERY_TIMEOUT_S)
            _summarize(publisher.tally, dry_run=dry_run)
    tally = publisher.tally
    if tally.undelivered:
        raise DeliveryFailed(
            f"{tally.undelivered} events were not acknowledged; "
            "check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS and publish them again"
        )
    if tally.rejected:
        click.get_current_context().exit(ExitCode.REFUSED)


def _source(name: str, account: str | None) -> SourceFormat | None:
    if name == _NDJSON:
        if account is not None:
            raise click.UsageError("--account is for the other formats: an event names its own")
        return None
    source = FORMATS[name]
    if account is None and not source.names_account:
        raise click.UsageError(f"{name} records name no account: give --account")
    return source


def _publish_all(paths: Sequence[str], source: SourceFormat | None, publisher: Publisher) -> None:
    with EmitProgress(_total_bytes(paths)) as shown:
        for path in paths:
            before = f"{path}: " if len(paths) > 1 else ""
            with _opened(path) as file:
                chunks = Chunks(file, before_waiting=publisher.flush)
                found = (
                    split_lines(chunks)
                    if source is None
                    else split_records(chunks, source.envelope)
                )
                for count, record in enumerate(found, 1):
                    publisher.publish(before, record)
                    if count % _PROGRESS_EVERY == 0:
                        shown.update(chunks.bytes_read, publisher.tally.accepted)
                shown.end_file(chunks.bytes_read, publisher.tally.accepted)
        publisher.flush()


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    if path == _STDIN:
        yield click.get_binary_stream("stdin")
    else:
        with Path(path).open("rb") as file:
            yield file


def _total_bytes(paths: Sequence[str]) -> int | None:
    """Return how much there is to read, None where that is not known: a pipe has no size."""
    if any(path == _STDIN or not Path(path).is_file() for path in paths):
        return None
    return sum(Path(path).stat().st_size for path in paths)


def _summarize(tally: Tally, *, dry_run: bool) -> None:
    if dry_run:
        click.echo(f"would publish {tally.accepted}, rejected {tally.rejected}")
    else:
        click.echo(f"published {tally.published}, rejected {tally.rejected}")
    for code, count in tally.reasons.most_common():
        note(f"rejected as {code}: {count}")


@contextmanager
def _producer(settings: Settings, *, dry_run: bool) -> Iterator[AuditProducer | None]:
    if dry_run:
        yield None
        return
    check_topic(settings)
    with producer_of(
        settings,
        "auditbus-emit",
        delivery_timeout_s=_DELIVERY_TIMEOUT_S,
    ) as producer:
        yield producer
