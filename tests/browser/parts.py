"""Chromium from Debian and axe-core from npm, in the cache, for the browser tests.

`python -m tests.browser.parts` fetches them (`make browser`); later calls return at once. A
Chromium that is installed is used as it is. Nothing is installed: see tests/receivers/debian.py.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from auditbus.deploy.local.kafka.fetch import cache_directory
from tests.receivers.debian import Unavailable, _apt, _run

_AXE = "axe-core@4.14.1"
_PACKAGES = ("chromium", "fonts-inter", "fonts-noto-core")
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@dataclass(frozen=True)
class Chromium:
    executable: str
    environment: dict[str, str] = field(default_factory=dict)


def chromium() -> Chromium:
    """Return the one that is installed, else the one in the cache; raises Unavailable."""
    for name in _NAMES:
        if path := shutil.which(name):
            return Chromium(path)
    root = _chromium_directory()
    if not root.is_dir():
        raise Unavailable("no Chromium is installed, and none was fetched: make browser")
    libraries = [*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu")]
    fonts = root / "etc/fonts/fonts.conf"
    environment = {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}
    if fonts.exists() and not Path("/etc/fonts/fonts.conf").exists():
        environment |= {"FONTCONFIG_SYSROOT": str(root)}
    return Chromium(str(root / "usr/lib/chromium/chromium"), environment)


def axe_source() -> str:
    """Return the text of axe.min.js; raises Unavailable."""
    path = _axe_directory() / "node_modules/axe-core/axe.min.js"
    if not path.is_file():
        raise Unavailable("axe-core was not fetched: make browser")
    return path.read_text(encoding="utf-8")


def fetch() -> None:
    """Fetch what is missing: some 600 KB from npm, and Chromium where none is installed."""
    _fetch_axe()
    try:
        chromium()
    except Unavailable:
        _fetch_chromium()


def _fetch_axe() -> None:
    directory = _axe_directory()
    if directory.is_dir():
        return
    if shutil.which("npm") is None:
        raise Unavailable("axe-core comes from npm: no npm here")
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="axe-") as scratch:
        fresh = Path(scratch, "axe")
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
        _run(["npm", "install", "--prefix", str(fresh), *options, _AXE])
        _settle(fresh, directory)


def _fetch_chromium() -> None:
    missing = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if missing:
        raise Unavailable(f"Chromium comes from Debian: no {missing[0]} here")
    directory = _chromium_directory()
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="chromium-") as scratch:
        apt = Path(scratch, "apt")
        for folder in ("lists/partial", "archives/partial"):
            (apt / folder).mkdir(parents=True)
        _apt(apt, "update")
        _apt(apt, "--download-only", "install", *_PACKAGES, archives=apt / "archives")
        root = Path(scratch, "root")
        root.mkdir()
        for package in sorted((apt / "archives").glob("*.deb")):
            _run(["dpkg", "--extract", str(package), str(root)])
        _settle(root, directory)


def _settle(fresh: Path, directory: Path) -> None:
    try:
        fresh.rename(directory)
    except OSError:  # another process was quicker; what it fetched is the same
        if not directory.is_dir():
            raise


def _axe_directory() -> Path:
    return cache_directory() / _AXE.replace("@", "-")


def _chromium_directory() -> Path:
    """One a system and list of packages: what is unpacked fits the libraries that are there."""
    release = platform.freedesktop_os_release() if Path("/etc/os-release").exists() else {}
    key = repr((_PACKAGES, release.get("ID"), release.get("VERSION_ID"), platform.machine()))
    return cache_directory() / f"chromium-{hashlib.sha256(key.encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    try:
        fetch()
    except (Unavailable, subprocess.TimeoutExpired) as error:
        sys.exit(f"browser: {error}")
    print(chromium().executable, os.fspath(_axe_directory()))  # noqa: T201
