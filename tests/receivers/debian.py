"""rsyslog and syslog-ng from Debian, unpacked into the cache, for the tests that they receive.

`python -m tests.receivers.debian` fetches them (`make receivers`); later calls return at once. They
cannot be installed side by side, and nothing is installed: apt works in directories of its own,
needs no root, starts no service and changes nothing on the system. Each has the libraries that the
system lacks beside it.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from auditbus.deploy.local.kafka.fetch import cache_directory

_PACKAGES = {
    "rsyslog": ("rsyslog", "rsyslog-openssl", "rsyslog-gnutls"),
    "syslog-ng": ("syslog-ng-core",),
}
_TIMEOUT_S = 300


class Unavailable(Exception):
    """The daemons are not here; the message says why or what to do."""


def installed() -> Path:
    """Return the directory that holds `rsyslog/` and `syslog-ng/`, each like a root directory.

    Raises Unavailable where they were not fetched.
    """
    directory = _directory()
    if not directory.is_dir():
        raise Unavailable("rsyslog and syslog-ng were not fetched: make receivers")
    return directory


def fetch() -> Path:
    """Return that directory, fetching about 3 MB the first time; blocks for apt."""
    directory = _directory()
    if directory.is_dir():
        return directory
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"rsyslog and syslog-ng come from Debian: no {missing[0]} here")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="receivers-") as scratch:
        apt = Path(scratch, "apt")
        (apt / "lists/partial").mkdir(parents=True)
        _apt(apt, "update")
        roots = Path(scratch, "roots")
        for name, packages in _PACKAGES.items():
            archives = apt / name
            (archives / "partial").mkdir(parents=True)
            _apt(apt, "--download-only", "install", *packages, archives=archives)
            (roots / name).mkdir(parents=True)
            for package in sorted(archives.glob("*.deb")):
                _run(["dpkg", "--extract", str(package), str(roots / name)])
        try:
            roots.rename(directory)
        except OSError:  # another process was quicker; what it fetched is the same
            if not directory.is_dir():
                raise
    return directory


def _directory() -> Path:
    """One a system and list of packages: what is unpacked fits the libraries that are there."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    key = repr((_PACKAGES, release.get("ID"), release.get("VERSION_ID"), platform.machine()))
    return cache_directory() / f"receivers-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


def _apt(directory: Path, *words: str, archives: Path | None = None) -> None:
    options = {
        "Dir::State::lists": str(directory / "lists"),
        "Dir::Cache": str(directory),
        "Dir::Cache::archives": str(archives or directory),
        "Debug::NoLocking": "true",  # the locks are the system's, and nothing of it is changed
        "Acquire::Retries": "3",
        "APT::Install-Recommends": "false",
    }
    if os.geteuid() == 0:
        options["APT::Sandbox::User"] = "root"  # the cache may be readable by its owner alone
    settings = [word for key, value in options.items() for word in ("-o", f"{key}={value}")]
    _run(["apt-get", "-qq", "--yes", *settings, *words])


def _run(command: list[str]) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode != 0:
        raise Unavailable(f"{command[0]} failed: {done.stderr.strip()[-1000:]}")


if __name__ == "__main__":
    try:
        fetch()
    except Unavailable as error:
        sys.exit(f"receivers: {error}")
