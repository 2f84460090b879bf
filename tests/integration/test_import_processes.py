"""An import with worker processes: order in Kafka, and how it ends when somebody ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest

from tests.backends.parts import Kafka
from tests.command_line import auditbus
from tests.pipeline import environment_of, read_topic, settings_with_topics, wait_until
from tests.source_records import RECORDS

_COUNT = 6_000  # workers take over after some thousands
_TEXT = b"".join(orjson.dumps(RECORDS["github"](number)) + b"\n" for number in range(_COUNT))


def test_kafka_holds_the_records_in_their_order(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    file = tmp_path / "audit.ndjson"
    file.write_bytes(_TEXT)
    result = auditbus(
        *("emit", "--format", "github", "--account", "acme", "--processes", "3", str(file)),
        environment=environment,
    )
    assert (result.exit_code, result.stdout) == (0, f"published {_COUNT}, rejected 0\n")
    found = read_topic(
        settings, settings.kafka.topics.events, until=lambda found: len(found) >= _COUNT
    )
    events = [orjson.loads(message.value() or b"") for message in found]
    wanted = [orjson.loads(line)["_document_id"] for line in _TEXT.splitlines()]
    assert [event["metadata"]["github"]["_document_id"] for event in events] == wanted
    assert [event["producer"]["seq"] for event in events] == list(range(1, _COUNT + 1))


@contextmanager
def _importing() -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """A dry run that waits for more on its pipe, and its workers' process ids."""
    arguments = ["emit", "--format", "github", "--dry-run", "--processes", "2"]
    process = subprocess.Popen(
        [Path(sys.executable).with_name("auditbus"), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        assert process.stdin is not None
        process.stdin.write(_TEXT)
        process.stdin.flush()
        # Itself, the fork server, the tracker of resources, two workers.
        wait_until(lambda: len(_session(process.pid)) >= 5, deadline_s=60, what="workers run")
        yield process, _session(process.pid)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _session(leader: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(session) == leader and state != "Z":
                found.append(int(entry.name))
    return found


@pytest.mark.parametrize("whom", ["process", "group"])
def test_ctrl_c_ends_it_with_a_summary_and_no_traceback(whom: str) -> None:
    with _importing() as (process, pids):
        if whom == "group":  # as a terminal does
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert b"would publish" in out
        assert b"Traceback" not in err
        assert process.returncode == 1
        wait_until(lambda: not _session(process.pid), deadline_s=20, what=f"{pids} have ended")


def test_killed_it_leaves_no_process_behind() -> None:
    with _importing() as (process, pids):
        process.kill()
        process.wait(20)
        wait_until(lambda: not _session(process.pid), deadline_s=20, what=f"{pids} have ended")
