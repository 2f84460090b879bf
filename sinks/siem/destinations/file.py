"""A file, or standard output: one event a line, for trying out and for agents that read files.

The file is made with mode 0600 and only ever appended to. Rotation is left to logrotate: once the
file is moved or removed, the next request makes a new one (so `create` and `copytruncate` are not
needed). With `fsync` a request counts as delivered when the disk has it, at a cost of some
milliseconds each; without it, when the kernel has it, which a power failure may undo.

Whole lines are written under a lock (flock), also by several forwarders. A line that a full disk
cuts short is taken back; one that a kill cut short is ended by the next writer.
"""

from __future__ import annotations

import fcntl
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import field_validator
from pydantic_core import PydanticCustomError

from auditbus.sinks.siem.destination import DestinationKind, DestinationSettings, Parcel
from auditbus.sinks.siem.destinations.envelopes import on_one_line
from auditbus.sinks.siem.encodings import ENCODINGS
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome

__all__ = ["KIND", "FileClient", "FileSettings"]

_STDOUT = "-"


class FileSettings(DestinationSettings):
    """A file that grows by a line an event."""

    path: str
    """File to append to; `-` is standard output."""
    fsync: bool = True
    """Whether events count as delivered only once the disk has them."""

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        if path != _STDOUT and not Path(path).parent.is_dir():
            raise PydanticCustomError("path", "must be - or a file in a directory that is there")
        if Path(path).is_dir():
            raise PydanticCustomError("path", "is a directory")
        return path


class FileClient:
    """Appends."""

    def __init__(self, settings: FileSettings) -> None:
        """Prepare; the file is opened by the first request."""
        self._path = settings.path
        self._fsync = settings.fsync
        self._fd: int | None = None
        self._lock = threading.Lock()

    def deliver(self, parcel: Parcel) -> Outcome:
        """Append the events."""
        return self._append(b"".join(event + b"\n" for event in parcel.events))

    def probe(self) -> Outcome:
        """Open the file, and write nothing."""
        return self._append(b"")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._let_go()

    def _append(self, lines: bytes) -> Outcome:
        try:
            with self._lock:
                if self._path == _STDOUT:
                    sys.stdout.buffer.write(lines)
                    sys.stdout.buffer.flush()
                else:
                    self._write(lines)
        except PermissionError as error:
            return Blocked("permission", f"{self._path}: {error.strerror}")
        except OSError as error:
            return Failed("write", f"{self._path}: {error.strerror}")
        return Delivered()

    def _write(self, lines: bytes) -> None:
        with _locked(self._current()) as fd:
            begin = os.fstat(fd).st_size
            if begin and os.pread(fd, 1, begin - 1) != b"\n":
                lines = b"\n" + lines  # what stands there was cut short
            try:
                written = 0
                while written < len(lines):
                    written += os.write(fd, lines[written:])
                if self._fsync:
                    os.fsync(fd)
            except OSError:
                os.ftruncate(fd, begin)
                raise

    def _current(self) -> int:
        """Return the file that has the name now, opening it where it was moved or removed."""
        if self._fd is not None and not _is_same(self._fd, self._path):
            self._let_go()
        if self._fd is None:
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o600)
        return self._fd

    def _let_go(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


@contextmanager
def _locked(fd: int) -> Iterator[int]:
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield fd
    finally:
        fcntl.flock(fd, fcntl.LOCK_UN)


def _is_same(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))  # noqa: PTH116  # beside fstat
    except FileNotFoundError:
        return False


KIND = DestinationKind(
    settings=FileSettings,
    connect=FileClient,
    ordered=True,
    encoder=lambda settings, catalogue: on_one_line(
        ENCODINGS[settings.encoding].encoder(catalogue)
    ),
)
