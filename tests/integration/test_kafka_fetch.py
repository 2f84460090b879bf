"""Fetching the broker's jars, with a stand-in for Maven that fails and counts on demand."""

import io
import os
import threading
import time
from pathlib import Path

import pytest

from auditbus.deploy.local.errors import BrokerUnavailable, StartInterrupted
from auditbus.deploy.local.kafka import fetch_jars, find_java
from auditbus.deploy.local.progress import ProgressLine

_MAVEN = """#!/bin/sh
echo run >> "$MAVEN_RUNS"
for argument in "$@"; do
  case "$argument" in -DoutputDirectory=*) into="${argument#*=}";; esac
done
mkdir "$into"
echo "Downloaded from somewhere: scheme://host/org/first-1.0.jar (2.0 kB at 9 kB/s)"
echo jar > "$into/first-1.0.jar"
if [ -n "$MAVEN_HANGS" ]; then exec sleep 60; fi
if [ -n "$MAVEN_FAILS" ]; then echo "[ERROR] Could not resolve second:jar:2.0"; exit 1; fi
echo jar > "$into/second-2.0.jar"
"""


@pytest.fixture
def maven_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in Maven first on the PATH and an empty cache; the file counts Maven's runs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "mvn").write_text(_MAVEN)
    (programs / "mvn").chmod(0o755)
    runs = tmp_path / "runs"
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("MAVEN_RUNS", str(runs))
    monkeypatch.setenv("AUDITBUS_CACHE_DIR", str(tmp_path / "cache"))
    return runs


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_second_call_needs_no_maven(maven_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    jars = fetch_jars(Path("/any/bin/java"), ProgressLine(output))
    assert sorted(path.name for path in jars.iterdir()) == ["first-1.0.jar", "second-2.0.jar"]
    monkeypatch.setenv("PATH", "")
    assert fetch_jars(Path("/any/bin/java"), ProgressLine(output)) == jars
    assert maven_runs.read_text() == "run\n"
    assert output.getvalue().splitlines() == [
        "fetching Apache Kafka: 1 files, first-1.0.jar",
        f"fetched Apache Kafka into {jars.parent}",
    ]


def test_a_failed_fetch_says_why_and_leaves_nothing_behind(
    maven_runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAVEN_FAILS", "1")
    with pytest.raises(BrokerUnavailable, match=r"Could not resolve second:jar:2\.0"):
        fetch_jars(Path("/any/bin/java"), ProgressLine(io.StringIO()))
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.delenv("MAVEN_FAILS")
    assert (fetch_jars(Path("/any/bin/java"), ProgressLine(io.StringIO()))).is_dir()
    assert maven_runs.read_text() == "run\nrun\n"


def test_a_stop_ends_a_fetch_that_hangs(
    maven_runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MAVEN_HANGS", "1")
    stop = threading.Event()
    asked = threading.Timer(0.5, stop.set)
    asked.start()
    began = time.monotonic()
    with pytest.raises(StartInterrupted):
        fetch_jars(Path("/any/bin/java"), ProgressLine(io.StringIO()), stop)
    assert time.monotonic() - began < 5
    asked.join()
    assert list((tmp_path / "cache").iterdir()) == []


def test_without_maven_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AUDITBUS_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    with pytest.raises(BrokerUnavailable, match="install `maven`"):
        fetch_jars(Path("/any/bin/java"), ProgressLine(io.StringIO()))


def test_progress_in_a_terminal_is_one_line_that_changes() -> None:
    terminal = _Terminal()
    progress = ProgressLine(terminal)
    progress.update("one")
    progress.update("two")
    progress.finish("done")
    assert terminal.getvalue() == "\r\x1b[2Kone\r\x1b[2Ktwo\r\x1b[2Kdone\n"


def test_a_java_too_old_is_named_and_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("auditbus.deploy.local.kafka.java.find_spec", lambda _: None)
    with pytest.raises(BrokerUnavailable, match=r"Java 17 or later .*bin/java is version 8\)"):
        find_java()
