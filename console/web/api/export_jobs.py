"""`/api/v1/exports`: exports in the background, each seen by the one who asked for it alone."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel

from auditbus.console.access import Caller, Principal
from auditbus.console.export import Compression, Format
from auditbus.console.export.errors import ExportsFull, TooManyExports
from auditbus.console.export.jobs import Job, Progress, State, link_signature, link_stands
from auditbus.console.export.request import described, rfc3339
from auditbus.console.web.api.answers import READING
from auditbus.console.web.api.exports import Columns, Compress, Limit, export_request
from auditbus.console.web.api.fields import NOT_FOUND, problem_answers
from auditbus.console.web.asking import Asked, Asking, PrincipalOf
from auditbus.console.web.callers import CallerOf
from auditbus.console.web.problems import Problem
from auditbus.console.web.services import Services, ServicesOf

__all__ = ["found_export", "router", "shown_export", "submit_export"]

_PREFIX = "/api/v1/exports"
_LINK_S = 15 * 60
_BUSY = problem_answers(
    {
        413: "The body is larger than 1 MiB",
        429: "Too many requests, or too many of yours are under way",
        507: "No room is left",
    }
)
_NOT_YET = problem_answers({409: "It is not finished"})
_REFUSED = problem_answers({403: "The link has expired or is none, or you may see less than then"})

router = APIRouter(prefix="/exports", tags=["exports"], responses=READING)


class Link(BaseModel):
    """Where to fetch the file, by the same principal."""

    url: str
    expires_at: datetime
    """Ask for the export again to get another."""


class ExportAnswer(BaseModel):
    """One export."""

    id: str
    state: State
    """`downloaded` is a stream that went to its reader: only its manifest is kept."""
    format: Format
    compression: Compression
    scope: str
    filters: dict[str, Any]
    since: str | None
    until: str | None
    rows: int
    """So far."""
    matched: int | None
    """Null until that is known."""
    truncated: bool | None
    """Whether more match than the file may hold; null until that is known."""
    error: str | None
    """What went wrong; while it is not `failed`, it is tried again."""
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    """When it is deleted; null until it is over."""
    download: Link | None
    manifest: dict[str, Any] | None


class ExportsAnswer(BaseModel):
    """Exports of one principal, the last first."""

    exports: list[ExportAnswer]


async def _no_body(request: Request, _: PrincipalOf) -> None:
    """Refuse filters in a body: passed over, they would export everything."""
    if (await request.body()).strip():
        raise Problem(400, "The filters are query parameters; send no body.")


@router.post("", status_code=202, responses=_BUSY, dependencies=[Depends(_no_body)])
def create_export(
    asked: Asking,
    services: ServicesOf,
    caller: CallerOf,
    response: Response,
    kind: Annotated[Format, Query(alias="format")] = Format.CSV,
    columns: Columns = None,
    compress: Compress = Compression.NONE,
    limit: Limit = None,
) -> ExportAnswer:
    """Export in the background what matches now. Ask at `Location` how far it is.

    What may be seen is judged now; who may see less later does not get the file. The filters are
    those of `/api/v1/events`.
    """
    job = submit_export(
        services, asked, caller, kind, columns=columns, compress=compress, limit=limit
    )
    response.headers["Location"] = f"{_PREFIX}/{job.id}"
    return shown_export(services, job, Progress())


@router.get("")
def exports(principal: PrincipalOf, services: ServicesOf) -> ExportsAnswer:
    """List your own."""
    found = [*services.exports.of(principal.id)]
    return ExportsAnswer(exports=[shown_export(services, *one) for one in reversed(found)])


@router.get("/{export_id}", responses=NOT_FOUND)
def export(export_id: UUID, principal: PrincipalOf, services: ServicesOf) -> ExportAnswer:
    """Tell how far it is; once it is finished, with a link to the file, for 15 minutes."""
    return shown_export(services, *found_export(services, export_id, principal))


@router.get("/{export_id}/manifest", responses={**NOT_FOUND, **_NOT_YET})
def export_manifest(export_id: UUID, principal: PrincipalOf, services: ServicesOf) -> Response:
    """Return what the file contains; also of a download, by its `X-Auditbus-Export-Id`."""
    job, progress = found_export(services, export_id, principal)
    content = services.exports.shelf.manifest(job.id)
    if content is None or progress.state.is_unfinished:
        raise Problem(409, f"The export is {progress.state}; it has no manifest.")
    name = f"{orjson.loads(content)['file']}.manifest.json"
    return Response(
        content,
        media_type="application/json",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


@router.get(
    "/{export_id}/file",
    response_class=FileResponse,
    responses={**NOT_FOUND, **_NOT_YET, **_REFUSED},
)
def export_file(
    export_id: UUID, principal: PrincipalOf, services: ServicesOf, expires: int, signature: str
) -> FileResponse:
    """Download the file by its link, signed in as the one who asked for it."""
    job, progress = found_export(services, export_id, principal)
    if not link_stands(job, expires, signature, time.time()):
        raise Problem(403, "The link has expired, or is none; ask for the export again.")
    if not job.shows_no_more_than(principal):
        raise Problem(403, "You may see less than when you asked for it; ask for a new export.")
    if progress.state is not State.FINISHED:
        raise Problem(409, f"The export is {progress.state}; it has no file.")
    return FileResponse(
        services.exports.shelf.file(job.id),
        media_type=job.format.media_type,
        filename=job.file_name,
        headers={"X-Auditbus-Export-Id": job.id, "Cache-Control": "no-store"},
    )


@router.delete("/{export_id}", status_code=204, responses=NOT_FOUND)
def delete_export(export_id: UUID, principal: PrincipalOf, services: ServicesOf) -> None:
    """Delete it and its file; one that is under way is given up."""
    job, _ = found_export(services, export_id, principal)
    services.exports.shelf.remove(job.id)


def submit_export(
    services: Services,
    asked: Asked,
    caller: Caller,
    kind: Format,
    *,
    columns: str | None = None,
    compress: Compression = Compression.NONE,
    limit: int | None = None,
) -> Job:
    """Take on an export. Raises Problem."""
    if kind is Format.PARQUET and compress is not Compression.NONE:
        raise Problem(400, "compress: Parquet compresses itself", field="compress")
    request = export_request(asked, kind, columns, compress, limit)
    try:
        return services.exports.submit(request, asked.principal, caller, asked.scope or "")
    except TooManyExports as many:
        raise Problem(429, f"{many}.") from None
    except ExportsFull as full:
        raise Problem(507, f"{full}.") from None


def found_export(services: Services, export_id: UUID, principal: Principal) -> tuple[Job, Progress]:
    """Return one of the principal's own. Raises Problem."""
    if (found := services.exports.find(str(export_id), principal.id)) is None:
        raise Problem(404, "There is no such export, or it has expired.")
    return found


def shown_export(services: Services, job: Job, progress: Progress) -> ExportAnswer:
    """Tell how far it is, to its owner."""
    desk, plan, limit = services.exports, progress.plan, progress.limit
    over = not progress.state.is_unfinished
    content = desk.shelf.manifest(job.id) if over else None
    manifest = orjson.loads(content) if content else None
    matched = manifest["matched"] if manifest else plan and plan.rows
    return ExportAnswer(
        id=job.id,
        state=progress.state,
        format=job.format,
        compression=job.compression,
        scope=job.scope,
        filters=dict(described(job.filter)),
        since=rfc3339(job.filter.since),
        until=rfc3339(job.filter.until),
        rows=manifest["rows"] if manifest else progress.rows_seen,
        matched=matched,
        truncated=manifest["truncated"] if manifest else plan and plan.rows > (limit or 0),
        error=progress.error,
        created_at=job.created_at,
        finished_at=progress.finished_at,
        expires_at=desk.expires_at(job, progress) if over else None,
        download=_link(job) if progress.state is State.FINISHED else None,
        manifest=manifest,
    )


def _link(job: Job) -> Link:
    expires_s = int(time.time()) + _LINK_S
    signature = link_signature(job, expires_s)
    return Link(
        url=f"{_PREFIX}/{job.id}/file?expires={expires_s}&signature={signature}",
        expires_at=datetime.fromtimestamp(expires_s, UTC),
    )
