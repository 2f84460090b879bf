"""Fetch the broker's jars once: Maven resolves pom.xml into a cache shared by all directories.

Where Maven looks is Maven's own configuration (settings.xml, mirrors, proxies); no registry is
named here.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections import deque
from pathlib import Path

from auditbus.deploy.local.errors import BrokerUnavailable, StartInterrupted
from auditbus.deploy.local.progress import ProgressLine

_POM = Path(__file__).with_name("pom.xml")
_TIMEOUT_S = 600
_TICK_S = 0.1
_DOWNLOADED = "Downloaded from "


def cache_directory() -> Path:
    """Return where downloads are kept: `AUDITBUS_CACHE_DIR`, or in the user's cache directory."""
    if chosen := os.environ.get("AUDITBUS_CACHE_DIR"):
        return Path(chosen).absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "auditbus")


def fetch_jars(java: Path, progress: ProgressLine, stop: threading.Event | None = None) -> Path:
    """Return the directory with the broker's jars, fetching them the first time.

    The first call blocks while Maven downloads about 45 MB; later ones return at once, without
    Maven. Concurrent calls are safe: each fetches on its own and the first to finish is kept.

    Raises:
        StartInterrupted: `stop` was set meanwhile; Maven has ended.
        BrokerUnavailable: no Maven, or it failed; the message carries Maven's own last lines.
    """
    jars = cache_directory() / f"kafka-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        raise BrokerUnavailable(
            "fetching Apache Kafka needs Maven: install `maven` (the command `mvn`)"
        )
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="kafka-fetch-") as scratch:
        fetched = Path(scratch, "jars")
        _run_maven(maven, java, fetched, progress, stop or threading.Event())
        try:
            fetched.rename(jars)
        except OSError:  # another process was quicker; what it fetched is the same
            if not jars.is_dir():
                raise
    return jars


def _run_maven(
    maven: str, java: Path, into: Path, progress: ProgressLine, stop: threading.Event
) -> None:
    command = [
        *(maven, "--batch-mode", "--file", str(_POM)),
        *("dependency:copy-dependencies", f"-DoutputDirectory={into}"),
    ]
    environment = {**os.environ, "JAVA_HOME": str(java.resolve().parent.parent)}
    downloads, tail = 0, deque[str](maxlen=12)
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        threading.Thread(target=_end_in_time, args=(process, stop), daemon=True).start()
        for line in process.stdout or ():
            if _DOWNLOADED in line:
                downloads += 1
                progress.update(f"fetching Apache Kafka: {downloads} files, {_file_name(line)}")
            elif line.startswith("[ERROR]"):
                tail.append(line.strip())
    if stop.is_set():
        raise StartInterrupted("asked to stop while Apache Kafka was being fetched")
    if process.returncode != 0:
        progress.finish("fetching Apache Kafka failed")
        raise BrokerUnavailable("\n".join(["Maven could not fetch Apache Kafka:", *tail]))
    progress.finish(f"fetched Apache Kafka into {cache_directory()}")


def _end_in_time(process: subprocess.Popen[str], stop: threading.Event) -> None:
    """Kill Maven on `stop` or after its time; the script `mvn` execs Java: there is one process."""
    deadline = time.monotonic() + _TIMEOUT_S
    while process.poll() is None:
        if stop.wait(_TICK_S) or time.monotonic() > deadline:
            process.kill()
            return


def _file_name(line: str) -> str:
    """Return the file's name in `Downloaded from ID: URL (SIZE at SPEED)`."""
    return line.partition(": ")[2].partition(" ")[0].rpartition("/")[2]
