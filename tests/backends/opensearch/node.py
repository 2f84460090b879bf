"""Starts a real OpenSearch node: the server's jars by Maven, one Java file that embeds it."""

import hashlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import urllib3

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.kafka.fetch import cache_directory
from auditbus.deploy.local.ports import free_port

_HERE = Path(__file__).parent
_START_TIMEOUT_S = 90.0


@contextmanager
def opensearch(directory: Path) -> Iterator[str]:
    """Yield the URL of an empty node; skips the test where it cannot run, with the reason."""
    java, jars = shutil.which("java"), _jars()
    if java is None or shutil.which("javac") is None:
        pytest.skip("a real OpenSearch needs a JDK (java and javac)")
    port = free_port()
    log = directory / "opensearch.log"
    command = [java, "-Xmx512m", "-cp", f"{jars}/*", str(_HERE / "OpenSearchNode.java")]
    child = Child("opensearch", [*command, str(directory / "home"), str(port)], log=log)
    child.start()
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not _answers(url):
            assert child.running, log.read_text()[-2000:]
            assert time.monotonic() < deadline, log.read_text()[-2000:]
            time.sleep(0.2)
        yield url
    finally:
        child.kill()


def _jars() -> Path:
    pom = _HERE / "pom.xml"
    jars = cache_directory() / f"opensearch-{hashlib.sha256(pom.read_bytes()).hexdigest()[:16]}"
    if jars.is_dir():
        return jars
    maven = shutil.which("mvn")
    if maven is None:
        pytest.skip("a real OpenSearch needs Maven")
    jars.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=jars.parent) as scratch:
        fetched = Path(scratch, "jars")
        goal = ["dependency:copy-dependencies", f"-DoutputDirectory={fetched}"]
        done = subprocess.run(
            [maven, "--batch-mode", "--quiet", "--file", str(pom), *goal],
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        if done.returncode != 0:
            pytest.skip(f"OpenSearch's jars cannot be fetched: {done.stdout[-500:]}")
        fetched.rename(jars)
    return jars


def _answers(url: str) -> bool:
    try:
        return urllib3.request("GET", url, retries=False, timeout=2).status == 200
    except urllib3.exceptions.HTTPError:
        return False
