"""`/api/v1/events.csv`, `.ndjson`, `.parquet`: what may be seen and was asked for, as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from auditbus.console.access import Caller
from auditbus.console.export import (
    Compression,
    ExportRequest,
    Format,
    RunningExport,
    chosen_columns,
)
from auditbus.console.export.jobs import Job
from auditbus.console.web.api.answers import READING
from auditbus.console.web.asking import Asked, Asking
from auditbus.console.web.callers import CallerOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import Services, ServicesOf
from auditbus.runtime.logging import get_logger

__all__ = ["Columns", "Compress", "Limit", "export_request", "router"]

_log = get_logger(__name__)
router = APIRouter(tags=["exports"], responses=READING)
Limit = Annotated[int | None, Query(ge=1, description="Most events, the newest.")]
Columns = Annotated[
    str | None,
    Query(
        description="Columns to add to the screen's nine, with commas; all where it is missing.",
        examples=["targets,user_email,id"],
    ),
]
Compress = Annotated[Compression, Query(description="Of the file.")]


@router.get("/events.csv", response_class=StreamingResponse)
def events_csv(
    asked: Asking,
    services: ServicesOf,
    caller: CallerOf,
    limit: Limit = None,
    columns: Columns = None,
    compress: Compress = Compression.NONE,
) -> StreamingResponse:
    """Download the newest 1,048,575 events at most, as a spreadsheet opens them.

    `X-Auditbus-Truncated: true` where more match (`X-Auditbus-Matched` says how many). Afterwards
    the manifest is at `/api/v1/exports/ID/manifest`, ID being `X-Auditbus-Export-Id`.
    """
    request = export_request(asked, Format.CSV, columns, compress, limit)
    return _download(request, asked, services, caller)


@router.get("/events.ndjson", response_class=StreamingResponse)
def events_ndjson(
    asked: Asking,
    services: ServicesOf,
    caller: CallerOf,
    limit: Limit = None,
    compress: Compress = Compression.NONE,
) -> StreamingResponse:
    """Download whole events, one a line."""
    request = export_request(asked, Format.NDJSON, None, compress, limit)
    return _download(request, asked, services, caller)


@router.get("/events.parquet", response_class=StreamingResponse)
def events_parquet(
    asked: Asking,
    services: ServicesOf,
    caller: CallerOf,
    limit: Limit = None,
    columns: Columns = None,
) -> StreamingResponse:
    """Download typed columns, and each event whole in the column `event`."""
    request = export_request(asked, Format.PARQUET, columns, Compression.NONE, limit)
    return _download(request, asked, services, caller)


def export_request(
    asked: Asked, kind: Format, columns: str | None, compress: Compression, limit: int | None
) -> ExportRequest:
    """Return what to export. Raises Problem for a column that there is not."""
    try:
        chosen = chosen_columns(None if columns is None else [*filter(None, columns.split(","))])
    except ValueError as error:
        raise Problem(400, f"columns: {error}", field="columns") from None
    return ExportRequest(
        format=kind,
        columns=chosen,
        compression=compress,
        filter=asked.filter,
        predicate=asked.predicate,
        limit=limit,
        exported_by=asked.principal.id,
    )


def _download(
    request: ExportRequest, asked: Asked, services: ServicesOf, caller: Caller
) -> StreamingResponse:
    running = request.begin(services.store)
    stream = running.stream
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    name = f"audit-log-{now}.{request.format}{request.compression.suffix}"
    record = _recorder(running, name, asked, services, caller)
    return StreamingResponse(
        _recorded(running, record),
        media_type=request.format.media_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Auditbus-Export-Id": running.id,
            "X-Auditbus-Matched": str(stream.matched),
            "X-Auditbus-Truncated": str(stream.is_truncated).lower(),
        },
    )


def _recorder(
    running: RunningExport, name: str, asked: Asked, services: Services, caller: Caller
) -> Callable[[str | None], None]:
    job = Job.of(running.request, asked.principal, caller, asked.scope or "", running.id)

    def record(error: str | None) -> None:
        manifest = running.manifest(name)
        event = manifest.to_event()
        services.recorder.record(
            event["action"],
            event["description"],
            principal=asked.principal,
            caller=caller,
            targets=event["targets"],
            metadata={**event["metadata"], "scope": asked.scope},
            error=error,
        )
        if error is None:
            try:
                services.exports.keep_manifest(job, manifest)
            except OSError as lost:  # the file is whole all the same, and recorded
                _log.warning("export_manifest_lost", export=running.id, reason=str(lost))

    return record


def _recorded(running: RunningExport, record: Callable[[str | None], None]) -> Iterator[bytes]:
    """Yield the file; what left the house is recorded, also where it was not taken to its end."""
    error: str | None = "the download was broken off"
    try:
        yield from running.pieces()
        error = None
    finally:
        record(error)
