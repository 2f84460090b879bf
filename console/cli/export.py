"""`auditbus export`: evidence in a file that says what it contains."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import filter_options, parsed, pipeline_settings
from auditbus.console.cli.terminal import note, progress
from auditbus.console.export import (
    Compression,
    ExportRequest,
    Format,
    Manifest,
    RunningExport,
    chosen_columns,
    manifest_path,
    write_file,
)
from auditbus.console.export import verify as verify_file
from auditbus.console.own_events import own_producer
from auditbus.console.query.connection import connected
from auditbus.console.query.predicate import EventFilter, event_predicate
from auditbus.producers import AuditProducer
from auditbus.runtime.settings import Settings

__all__ = ["export"]

_STDOUT = "-"
_RECORD_TIMEOUT_S = 30.0


@click.command(
    epilog="""\b
Examples:
  auditbus export --out july.csv --since 2026-07-01 --until 2026-07-31
  auditbus export --out all.ndjson.zst --format ndjson --compress zstd --account acme
  auditbus export --out log.parquet --format parquet --since 90d
  auditbus export --out cells.csv --columns targets,user_email,id
  auditbus export --verify july.csv
  auditbus export --out - --account acme --outcome failure | gzip > failures.csv.gz

\b
The file is written whole or not at all; FILE.manifest.json beside it says what it contains. The log
itself records each export, so Kafka must be reachable. CSV holds at most 1,048,575 events, as many
as a spreadsheet opens; where more match, the newest are written and the exit code is 4."""
)
@click.option("--out", metavar="FILE", help="File to write; - for standard output.")
@click.option(
    "--verify",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Check FILE against its manifest instead.",
)
@click.option(
    "--format",
    "kind",
    type=click.Choice([str(kind) for kind in Format]),
    default=str(Format.CSV),
    show_default=True,
    help="csv for a spreadsheet, ndjson for whole events, parquet for both and for tools.",
)
@click.option(
    "--compress",
    type=click.Choice([str(how) for how in Compression]),
    default=str(Compression.NONE),
    show_default=True,
    help="Compress the file. Parquet compresses itself.",
)
@click.option(
    "--columns",
    type=parsed("columns", lambda text: chosen_columns([*filter(None, text.split(","))])),
    metavar="NAMES",
    help="Columns to add to the screen's nine, with commas.  [default: all]",
)
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="Most events, the newest.  [default: all]",
)
@pipeline_settings
def export(
    settings: Settings,
    wanted: EventFilter,
    out: str | None,
    verify: Path | None,
    kind: str,
    compress: str,
    columns: Any,
    limit: int | None,
) -> None:
    """Write events to a file, newest first, with a manifest that --verify checks.

    In CSV, cells that a spreadsheet would take for a formula are made text.
    """
    if (out is None) == (verify is None):
        raise click.UsageError("give --out FILE, or --verify FILE")
    if verify is not None:
        _verify(verify)
        return
    if kind == Format.PARQUET and compress != Compression.NONE:
        raise click.UsageError("--compress: Parquet compresses itself")
    request = ExportRequest(
        format=Format(kind),
        columns=columns or chosen_columns(None),
        compression=Compression(compress),
        filter=wanted,
        predicate=event_predicate(wanted),
        limit=limit,
        exported_by=f"{getpass.getuser()}@{socket.gethostname()}",
    )
    with (
        connected(settings.clickhouse) as client,
        own_producer(settings, "auditbus-export") as producer,
    ):
        running = request.begin(client)
        _announce(running)
        manifest = _write(running, str(out), _recorder(producer))
    _tell(manifest, str(out))


def _verify(file: Path) -> None:
    manifest = verify_file(file)
    click.echo(f"{file}: as exported on {manifest.exported_at} by {manifest.exported_by}, "
               f"{manifest.rows:,} events")  # fmt: skip
    if manifest.truncated:
        note(f"it is truncated: {manifest.matched:,} events matched")


def _announce(running: RunningExport) -> None:
    stream = running.stream
    note(f"{stream.matched:,} events match")
    if stream.is_truncated:
        note(f"only the newest {stream.limit:,} will be written; narrow it with --since, --until "
             "or a filter")  # fmt: skip


def _recorder(producer: AuditProducer) -> Callable[[Manifest], None]:
    def record(manifest: Manifest) -> None:
        producer.emit_and_wait(
            manifest.to_event(),
            actor={"type": "user", "id": manifest.exported_by},
            timeout_s=_RECORD_TIMEOUT_S,
        )

    return record


def _write(running: RunningExport, out: str, record: Callable[[Manifest], None]) -> Manifest:
    with progress() as shown:
        task = shown.add_task("exporting", total=min(running.stream.matched, running.stream.limit))
        running.on_rows = lambda rows: shown.update(task, completed=rows)
        if out != _STDOUT:
            try:
                return write_file(running, Path(out), record)
            except OSError as error:
                raise click.FileError(out, hint=error.strerror or str(error)) from error
        stdout = click.get_binary_stream("stdout")
        for piece in running.pieces():
            stdout.write(piece)
        stdout.flush()
    manifest = running.manifest(_STDOUT)
    record(manifest)
    return manifest


def _tell(manifest: Manifest, out: str) -> None:
    if out == _STDOUT:
        note(f"{manifest.rows:,} events exported; SHA-256 {manifest.sha256}")
    else:
        note(f"{manifest.rows:,} events exported to {out}; see {manifest_path(Path(out))}")
    if manifest.truncated:
        note(f"truncated: {manifest.matched:,} events match, the file holds the newest "
             f"{manifest.rows:,}")  # fmt: skip
        raise click.exceptions.Exit(ExitCode.TRUNCATED)
