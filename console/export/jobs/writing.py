"""Writing the file of a background export, slice by slice, so that it can be gone on with.

Compressed, each slice is a stream of its own: gzip members (RFC 1952 §2.2) and zstd frames (RFC
8878 §3.1) may follow one another in one file.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, BinaryIO

from clickhouse_connect.driver.client import Client

from auditbus.console.export.compression import compressed
from auditbus.console.export.formats import new_writer
from auditbus.console.export.jobs.job import Job, Progress, State
from auditbus.console.export.jobs.shelf import Shelf
from auditbus.console.export.manifest import Manifest
from auditbus.console.export.plan import plan_export
from auditbus.console.export.stream import ExportStream

__all__ = ["write_job"]

_READ_BYTES = 1024 * 1024
_TELL_EVERY_S = 1.0


def write_job(
    shelf: Shelf, job: Job, progress: Progress, client: Client, check: Callable[[], None]
) -> tuple[Progress, Manifest]:
    """Write the file, from where `progress` is; return how far it is then, and what it holds.

    Call it with the job's lock held. `check` is called about once a second and may raise to leave
    off. Raises that, OSError, ExportBroken and what the client raises; FileNotFoundError where the
    export was deleted meanwhile.
    """
    if not job.format.is_resumable:
        progress = progress.anew()
    if progress.plan is None:
        plan = plan_export(client, job.predicate)
        most = job.request.most_rows
        progress = replace(progress, plan=plan, limit=plan.rows if most is None else most)
    shelf.save(job.id, progress)
    path = shelf.file(job.id)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        writing = _Writing(shelf, job, progress, client, check, file)
        return writing.run()


@dataclass(slots=True)
class _Writing:
    shelf: Shelf
    job: Job
    progress: Progress
    client: Client
    check: Callable[[], None]
    file: BinaryIO
    told_s: float = 0.0

    def run(self) -> tuple[Progress, Manifest]:
        job, plan, limit = self.job, self.progress.plan, self.progress.limit
        assert plan is not None  # noqa: S101  # write_job has made it
        assert limit is not None  # noqa: S101
        writer = new_writer(job.format, job.request.columns)
        stream = ExportStream(self.client, writer, job.predicate, plan, limit)
        stream.rows = self.progress.rows
        digest = self._continued()
        begins: Iterator[bytes] = iter([writer.begin()])  # where it stands, the first slice has it
        if self.progress.size_bytes:
            begins = iter(())
        for part in plan.slices[self.progress.slices :]:
            if stream.rows >= limit:
                break
            self._add(chain(begins, stream.slice_chunks(part)), digest, stream)
            self._save(stream, self.progress.slices + 1)
        self._add(chain(begins, [writer.end(self.client)]), digest, stream)
        if not self.file.tell():  # of nothing, an empty stream: gunzip refuses an empty file
            self._write(compressed((), job.compression), digest, stream)
        self._save(stream, self.progress.slices)
        manifest = job.request.manifest(
            stream,
            file=job.file_name,
            export_id=job.id,
            size_bytes=self.file.tell(),
            sha256=digest.hexdigest(),
        )
        return self.progress, manifest

    def _continued(self) -> Any:
        """Cut off what is no whole slice; return the digest of the rest."""
        digest, left = hashlib.sha256(), self.progress.size_bytes
        while left and (content := self.file.read(min(left, _READ_BYTES))):
            digest.update(content)
            left -= len(content)
        if left:
            raise OSError(f"the file has lost {left:,} bytes")
        self.file.truncate(self.progress.size_bytes)
        return digest

    def _add(self, pieces: Iterator[bytes], digest: Any, stream: ExportStream) -> None:
        content = (piece for piece in pieces if piece)
        if (first := next(content, None)) is None:  # nothing to compress: no empty member either
            return
        self._write(compressed(chain([first], content), self.job.compression), digest, stream)

    def _write(self, pieces: Iterator[bytes], digest: Any, stream: ExportStream) -> None:
        for piece in pieces:
            self.file.write(piece)
            digest.update(piece)
            self._tell(stream)

    def _tell(self, stream: ExportStream) -> None:
        now_s = time.monotonic()
        if now_s - self.told_s < _TELL_EVERY_S:
            return
        self.told_s = now_s
        self.check()
        self.progress = replace(self.progress, rows_seen=stream.rows)
        self.shelf.save(self.job.id, self.progress)

    def _save(self, stream: ExportStream, slices: int) -> None:
        """Remember that what is written stays: only what is on the disk is remembered."""
        self.file.flush()
        os.fsync(self.file.fileno())
        self.progress = replace(
            self.progress,
            state=State.RUNNING,
            slices=slices,
            rows=stream.rows,
            rows_seen=stream.rows,
            size_bytes=self.file.tell(),
            attempts=1,
        )
        self.shelf.save(self.job.id, self.progress)
