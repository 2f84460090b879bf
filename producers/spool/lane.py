"""A lane: the directory of one process within the spool, and the lock that says whether it lives.

```text
DIRECTORY/NAME.lane/owner.lock           flock'ed by the process that owns the lane, while it lives
DIRECTORY/NAME.lane/000000000001.seg     its segments, in the order they were written
```

The kernel drops the lock of a process that dies, however it dies: whoever gets the lock may take
over the lane.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["Lane"]

_LOCK = "owner.lock"
_SUFFIX = ".lane"


class Lane:
    """A lane that this process owns."""

    __slots__ = ("_lock", "path")

    def __init__(self, path: Path, lock: int) -> None:
        """Take over `lock`, the locked descriptor of the lane's lock file."""
        self.path = path
        self._lock = lock

    @classmethod
    def create(cls, directory: Path, name: str) -> Lane:
        """Make a new lane. Raises OSError."""
        making, path = directory / f".{name}.new", directory / f"{name}{_SUFFIX}"
        making.mkdir(mode=0o700)
        lock = os.open(making / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # It gets its name once it is locked: no other process may take it for a dead one's.
        making.rename(path)
        return cls(path, lock)

    @classmethod
    def claim_orphans(cls, directory: Path) -> list[Lane]:
        """Lock and return the lanes whose processes are dead; never blocks."""
        paths = sorted(directory.glob(f"*{_SUFFIX}"))
        return [lane for path in paths if (lane := cls._claim(path)) is not None]

    @classmethod
    def _claim(cls, path: Path) -> Lane | None:
        try:
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have locked, drained and removed it just before.
            if os.path.samestat(os.fstat(lock), (path / _LOCK).stat()):
                return cls(path, lock)
        except OSError:
            pass
        os.close(lock)
        return None

    def segments(self) -> list[Path]:
        """Return the segments, oldest first."""
        return sorted(self.path.glob("*.seg"))

    def remove(self) -> None:
        """Delete the lane, which has no segments left, and let it go."""
        with suppress(OSError):
            (self.path / _LOCK).unlink()
            self.path.rmdir()
        self.release()

    def release(self) -> None:
        """Let it go as it is: another process may adopt it."""
        os.close(self._lock)
