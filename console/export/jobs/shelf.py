"""The directory of background exports: DIR/ID/{job,progress,manifest}.json, the file, and a lock.

Several console processes may share it. Who writes a file holds its lock (flock(2)), which the
kernel takes back from a process that dies, however it dies. Every small file is replaced whole.
"""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TypeVar
from uuid import UUID

from pydantic import TypeAdapter, ValidationError

from auditbus.console.export.jobs.job import Job, Progress
from auditbus.console.export.manifest import Manifest
from auditbus.runtime.atomic_file import write_atomically
from auditbus.runtime.logging import get_logger

__all__ = ["Shelf"]

_log = get_logger(__name__)
_JOB, _PROGRESS, _MANIFEST, _FILE, _LOCK = (
    *("job.json", "progress.json", "manifest.json", "file", "lock"),
)
_JOBS = TypeAdapter(Job)
_PROGRESSES = TypeAdapter(Progress)
_Kind = TypeVar("_Kind")
_LEFT_BEHIND_S = 3600.0


class Shelf:
    """Safe for many threads and processes. Raises OSError where the disk does not do its part."""

    def __init__(self, directory: Path) -> None:
        """`directory` is made with the first export."""
        self._directory = directory

    def put(self, job: Job, progress: Progress, manifest: Manifest | None = None) -> None:
        """Add an export; others see it whole or not at all."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._directory / f".new-{job.id}"
        new.mkdir(mode=0o700)
        write_atomically(new / _JOB, _JOBS.dump_json(job))
        write_atomically(new / _PROGRESS, _PROGRESSES.dump_json(progress))
        if manifest is not None:
            write_atomically(new / _MANIFEST, manifest.to_json())
        new.rename(self._at(job.id))

    def ids(self) -> list[str]:
        """Return the ids of all exports, the first that was asked for first."""
        if not self._directory.is_dir():
            return []
        return sorted(path.name for path in self._directory.iterdir() if _is_id(path.name))

    def job(self, export_id: str) -> Job | None:
        """Return what was asked for; None where there is no such export."""
        return _read(self._at(export_id) / _JOB, _JOBS)

    def progress(self, export_id: str) -> Progress | None:
        """Return how far it is; None where there is no such export."""
        return _read(self._at(export_id) / _PROGRESS, _PROGRESSES)

    def save(self, export_id: str, progress: Progress) -> None:
        """Remember how far it is. Raises FileNotFoundError where it was deleted meanwhile."""
        write_atomically(self._at(export_id) / _PROGRESS, _PROGRESSES.dump_json(progress))

    def file(self, export_id: str) -> Path:
        """Return where its file lies."""
        return self._at(export_id) / _FILE

    def keep_manifest(self, manifest: Manifest) -> None:
        """Put it beside the file that it describes."""
        write_atomically(self._at(manifest.export_id) / _MANIFEST, manifest.to_json())

    def manifest(self, export_id: str) -> bytes | None:
        """Return it as it is read; None where there is none yet."""
        try:
            return (self._at(export_id) / _MANIFEST).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, export_id: str) -> None:
        """Delete it; who is writing it notices."""
        gone = self._directory / f".gone-{export_id}"
        with suppress(FileNotFoundError):
            self._at(export_id).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what a process that died half-way left behind."""
        if not self._directory.is_dir():
            return
        for path in self._directory.iterdir():
            with suppress(FileNotFoundError):
                age_s = time.time() - path.stat().st_mtime
                if path.name.startswith((".new-", ".gone-")) and age_s > _LEFT_BEHIND_S:
                    shutil.rmtree(path, ignore_errors=True)

    def used_bytes(self) -> int:
        """Return how many bytes the files of all exports take."""
        used = 0
        for export_id in self.ids():
            with suppress(FileNotFoundError):
                used += self.file(export_id).stat().st_size
        return used

    @contextmanager
    def locked(self, export_id: str) -> Iterator[bool]:
        """Yield whether nobody else has the lock of this export; it is ours during the block."""
        try:
            file = (self._at(export_id) / _LOCK).open("wb")
        except FileNotFoundError:  # deleted meanwhile
            yield False
            return
        with file:
            yield _lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Let one at a time count and add exports; blocks for the others."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._directory / ".lock").open("wb") as file:
            _lock(file, fcntl.LOCK_EX)
            yield

    def _at(self, export_id: str) -> Path:
        return self._directory / export_id


def _lock(file: IO[bytes], how: int) -> bool:
    try:
        fcntl.flock(file, how)  # until it is closed
    except BlockingIOError:
        return False
    return True


def _read(path: Path, kind: TypeAdapter[_Kind]) -> _Kind | None:
    try:
        return kind.validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        _log.error("export_unreadable", path=str(path), errors=error.error_count())
        return None


def _is_id(name: str) -> bool:
    try:
        return str(UUID(name)) == name
    except ValueError:
        return False
