"""Where background exports are asked for, and the threads that write them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from auditbus.console.access import Caller, Principal, Recorder
from auditbus.console.export.errors import ExportsFull, TooManyExports
from auditbus.console.export.jobs.job import Job, Progress, State
from auditbus.console.export.jobs.recording import failed_event, record_job
from auditbus.console.export.jobs.shelf import Shelf
from auditbus.console.export.jobs.writing import write_job
from auditbus.console.export.manifest import Manifest
from auditbus.console.export.request import ExportRequest
from auditbus.console.query.connection import explained
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings
from auditbus.schemas.errors import AuditbusError

__all__ = ["ExportDesk"]

_log = get_logger(__name__)
_LOOK_EVERY_S = 1.0
_SWEEP_EVERY = 60  # looks
_STOP_TIMEOUT_S = 5.0
_MAX_ATTEMPTS = 5
_FIRST_PAUSE_S = 2.0


class _LeftOffError(Exception):
    """The console stops; whoever comes next goes on."""


@dataclass(slots=True)
class ExportDesk:
    """Safe for many threads; several processes may share the directory.

    `submit` and the rest work without workers; `start` begins to write, also what other processes
    left unfinished. Raises OSError where the disk does not do its part.
    """

    settings: Settings
    store: Client
    recorder: Recorder
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    shelf: Shelf = field(init=False)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _work: threading.Event = field(default_factory=threading.Event, init=False)
    _threads: list[threading.Thread] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        """Touch nothing on the disk yet."""
        console = self.settings.console
        self.shelf = Shelf(console.exports_dir or self.settings.data_dir / "exports")

    def submit(
        self, request: ExportRequest, principal: Principal, caller: Caller, scope: str
    ) -> Job:
        """Take on an export. Raises TooManyExports, and ExportsFull."""
        most = self.settings.console.exports_per_principal
        with self.shelf.counting():
            unfinished = [
                job
                for job, progress in self.of(principal.id)
                if progress.state.is_unfinished
            ]  # fmt: skip
            if len(unfinished) >= most:
                raise TooManyExports(f"{most} exports are under way; wait, or delete one")
            self._check_room()
            job = Job.of(request, principal, caller, scope)
            self.shelf.put(job, Progress())
        self._work.set()
        return job

    def keep_manifest(self, job: Job, manifest: Manifest) -> None:
        """Keep what a stream that went to its reader contained."""
        self.shelf.put(job, Progress().ended(State.DOWNLOADED), manifest)

    def of(self, owner: str) -> Iterator[tuple[Job, Progress]]:
        """Yield the exports of one principal, the first that was asked for first."""
        for export_id in self.shelf.ids():
            if (found := self.find(export_id, owner)) is not None:
                yield found

    def find(self, export_id: str, owner: str) -> tuple[Job, Progress] | None:
        """Return one; None where there is none, it has expired, or is another's."""
        job, progress = self.shelf.job(export_id), self.shelf.progress(export_id)
        if job is None or progress is None or job.owner != owner:
            return None
        return None if self._has_expired(job, progress) else (job, progress)

    def expires_at(self, job: Job, progress: Progress) -> datetime:
        """Return when it is deleted, as far as that is known."""
        kept = timedelta(hours=self.settings.console.exports_keep_hours)
        return (progress.finished_at or job.created_at) + kept

    def start(self) -> None:
        """Begin to write, in threads."""
        self._stop.clear()
        self._threads = [
            threading.Thread(target=self._serve, name=f"exports-{number}", daemon=True)
            for number in range(self.settings.console.exports_workers)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Leave off; blocks for five seconds at most. What is unfinished is gone on with later."""
        self._stop.set()
        self._work.set()
        for thread in self._threads:
            thread.join(_STOP_TIMEOUT_S)
        self._threads = []

    def _serve(self) -> None:
        looks = 0
        while not self._stop.is_set():
            try:
                if looks % _SWEEP_EVERY == 0:
                    self._sweep()
                looks += 1
                if not self._take_one():
                    self._work.wait(_LOOK_EVERY_S)
                    self._work.clear()
            except Exception:  # noqa: BLE001  # a worker that died would be missed by nobody
                _log.exception("exports_disturbed")
                self._stop.wait(_LOOK_EVERY_S)

    def _take_one(self) -> bool:
        """Write the first export that nobody writes; return whether there was one."""
        for export_id in self.shelf.ids():
            if not self._is_due(export_id):
                continue
            with self.shelf.locked(export_id) as is_ours:
                if is_ours and self._is_due(export_id) and (job := self.shelf.job(export_id)):
                    self._write(job)
                    return True
        return False

    def _is_due(self, export_id: str) -> bool:
        progress = self.shelf.progress(export_id)
        if progress is None or not progress.state.is_unfinished:
            return False
        return progress.not_before is None or progress.not_before <= self.now()

    def _write(self, job: Job) -> None:
        progress = self.shelf.progress(job.id) or Progress()
        progress = replace(
            progress, state=State.RUNNING, attempts=progress.attempts + 1, not_before=None
        )
        try:
            if progress.attempts > _MAX_ATTEMPTS:  # it ended its process, again and again
                self._fail(job, progress, progress.error or "it was begun too often, in vain")
                return
            self.shelf.save(job.id, progress)  # an attempt counts, however it ends
            with explained(self.settings.clickhouse):
                progress, manifest = write_job(
                    self.shelf, job, progress, self.store, self._check
                )  # fmt: skip
            self.shelf.keep_manifest(manifest)
            record_job(self.recorder, job, manifest.to_event())
            self.shelf.save(job.id, progress.ended(State.FINISHED))
        except _LeftOffError:
            self._leave_off(job)
        except FileNotFoundError:
            if self.shelf.job(job.id) is not None:
                raise
        except ExportsFull as full:
            self._fail(job, self.shelf.progress(job.id) or progress, str(full))
        except (AuditbusError, OSError) as error:
            self._try_again(job, self.shelf.progress(job.id) or progress, error)

    def _check(self) -> None:
        if self._stop.is_set():
            raise _LeftOffError
        self._check_room()

    def _check_room(self) -> None:
        most_mb = self.settings.console.exports_disk_mb
        if self.shelf.used_bytes() >= most_mb * 1_000_000:
            raise ExportsFull(f"exports take {most_mb:,} MB already, the most that is allowed")

    def _leave_off(self, job: Job) -> None:
        if (progress := self.shelf.progress(job.id)) is not None:
            self.shelf.save(
                job.id, replace(progress, state=State.QUEUED, attempts=0, rows_seen=progress.rows)
            )

    def _try_again(self, job: Job, progress: Progress, error: Exception) -> None:
        _log.warning(
            "export_disturbed", export=job.id, attempt=progress.attempts, reason=str(error)
        )
        if progress.attempts >= _MAX_ATTEMPTS:
            self._fail(job, progress, str(error))
            return
        pause = timedelta(seconds=_FIRST_PAUSE_S * 2**progress.attempts)
        again = replace(
            progress,
            state=State.QUEUED,
            rows_seen=progress.rows,
            error=str(error),
            not_before=self.now() + pause,
        )
        self.shelf.save(job.id, again)

    def _fail(self, job: Job, progress: Progress, error: str) -> None:
        _log.error("export_failed", export=job.id, reason=error)
        self.shelf.file(job.id).unlink(missing_ok=True)
        record_job(self.recorder, job, failed_event(job), error)
        self.shelf.save(job.id, replace(progress, rows=0, rows_seen=0).ended(State.FAILED, error))

    def _has_expired(self, job: Job, progress: Progress) -> bool:
        return not progress.state.is_unfinished and self.now() >= self.expires_at(job, progress)

    def _sweep(self) -> None:
        self.shelf.sweep()
        for export_id in self.shelf.ids():
            job, progress = self.shelf.job(export_id), self.shelf.progress(export_id)
            if job is not None and progress is not None and self._has_expired(job, progress):
                with suppress(OSError):
                    self.shelf.remove(export_id)
