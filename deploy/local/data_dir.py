"""The data directory of local mode: one owner at a time, one token, ports that stay.

DIR/lock            held while the pipeline runs; says the supervisor's process id
DIR/token           the store's password, made once, readable by its owner alone
DIR/ports.json      see `ports`
DIR/endpoints.json  see `endpoints`
DIR/kafka, store    the broker's and the store's own
"""

import fcntl
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from auditbus.deploy.local.errors import DirectoryInUse
from auditbus.deploy.local.ports import kept_port
from auditbus.runtime.atomic_file import write_atomically
from auditbus.runtime.errors import SettingsError

_HANDOVER_S = 10.0  # what the children of a killed supervisor may take to end
_RETRY_S = 0.05
_TOKEN_PREFIX = "abt_"  # noqa: S105 -- how all tokens of the console begin: scanners know them


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """A directory that this process owns; `lock_descriptor` is for children to inherit."""

    path: Path
    lock_descriptor: int
    _ports: dict[str, int] = field(default_factory=dict)

    @property
    def token_file(self) -> Path:
        """The file with the token; it exists."""
        path = self.path / "token"
        if not path.exists():
            write_atomically(path, f"{_TOKEN_PREFIX}{secrets.token_hex(32)}".encode())
        return path

    @property
    def token(self) -> str:
        """The console's administrator token, and the embedded store's password."""
        return self.token_file.read_text()

    def port(self, name: str) -> int:
        """Return the port called `name`: the same at every start, unless a stranger took it."""
        if name not in self._ports:  # asked once: later our own child listens on it
            self._ports[name] = kept_port(self.path / "ports.json", name)
        return self._ports[name]


@contextmanager
def own_data_directory(path: Path) -> Iterator[DataDirectory]:
    """Make `path` where missing and own it until the block ends.

    Children inherit the lock, so the directory is free only when the last process that uses it has
    ended. After a killed supervisor this blocks for the moment its children take to die.

    Raises:
        DirectoryInUse: another `auditbus up` runs on it.
        SettingsError: it can't be made, or nothing can be written there.
    """
    path = path.resolve()
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SettingsError(
            f"the data directory {path} can't be used: {error.strerror};"
            " choose another with --data or AUDITBUS_DATA_DIR"
        ) from error
    try:
        _lock(descriptor, path)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield DataDirectory(path, descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + _HANDOVER_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(descriptor, 32, 0).decode().strip()
            if time.monotonic() > deadline or (owner and _is_alive(int(owner))):
                raise DirectoryInUse(
                    f"{path} is in use by `auditbus up` with process id {owner or '(starting)'}:"
                    " stop it first, or choose another directory with --data"
                ) from None
            time.sleep(_RETRY_S)
        else:
            return


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True
