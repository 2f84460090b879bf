"""Worker processes: the same events in the same order, and an end that is told."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from auditbus.console.sources import FORMATS, Chunks, split_records
from auditbus.console.sources.pool import Pool
from auditbus.console.sources.preparing import Preparation
from auditbus.console.sources.publishing import Publisher
from auditbus.console.sources.records import Found
from auditbus.producers.assembly import Assembled
from auditbus.runtime.errors import WorkerFailed
from tests.source_records import RECORDS

_COUNT = 1_300  # some batches, the last of them not full


class _Recorder:
    """Keeps what a producer would be given."""

    def __init__(self) -> None:
        self.events: list[Assembled] = []

    def emit_assembled(self, event: Assembled, *, stamped: bool) -> _Delivered:
        assert not stamped
        self.events.append(event)
        return _Delivered()


class _Delivered:
    done, exception = True, None


def _text(name: str) -> bytes:
    """Records of which some are spoilt: no JSON, of a wrong type, with a secret."""
    lines = []
    for number in range(_COUNT):
        record = RECORDS[name](number)
        if number % 97 == 5:
            record["note"] = {"password": "hunter2"}
        lines.append(orjson.dumps(record))
    lines[17] = b"nonsense"
    lines[611] = b'{"eventTime": 7, "published": 7, "@timestamp": "x", "stageTimestamp": 7}'
    lines[612] = lines[613][:-1]
    return b"\n".join(lines)


def _imported(name: str, text: bytes, **how: Any) -> tuple[list[Assembled], list[str], str]:
    recorder, told = _Recorder(), []  # type: ignore[var-annotated]
    publisher = Publisher(recorder, Preparation(name, "acme"), told.append, **how)  # type: ignore[arg-type]  # a double
    try:
        for found in split_records(Chunks(io.BytesIO(text)), FORMATS[name].envelope):
            publisher.publish("", found)
        publisher.flush()
    finally:
        publisher.close()
    publisher.finish(1)
    tally = publisher.tally
    assert tally.published == tally.accepted == len(recorder.events)
    return recorder.events, told, str(tally.reasons)


def _publish(publisher: Publisher, found: Sequence[Found]) -> None:
    for item in found:
        publisher.publish("", item)


@pytest.mark.parametrize("name", FORMATS)
def test_many_processes_make_the_same_events_in_the_same_order(name: str) -> None:
    text = _text(name)
    alone = _imported(name, text)
    together = _imported(name, text, processes=3, alone_records=100, wait_for_workers=True)
    assert together == alone
    assert len(alone[0]) >= _COUNT - 4
    assert len(alone[1]) >= 2
    assert sum(b"[redacted]" in event[0] for event in alone[0]) > 5


def test_a_killed_worker_is_told_and_nothing_after_it_is_published() -> None:
    recorder, records = _Recorder(), _text("github").split(b"\n")
    publisher = Publisher(
        recorder,  # type: ignore[arg-type]  # a double
        Preparation("github"),
        print,
        processes=2,
        alone_records=1,
        wait_for_workers=True,
    )
    found = list(split_records(Chunks(io.BytesIO(b"\n".join(records))), "Records"))
    try:
        _publish(publisher, found[:1_200])
        assert publisher._pool is not None
        process = publisher._pool._workers[0][0]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        with pytest.raises(WorkerFailed, match="signal 9"):
            _publish(publisher, found[1_200:] * 6)
    finally:
        publisher.close()
    alone = _imported("github", b"\n".join(records))[0]
    published = len(recorder.events)
    assert [event[2] for event in recorder.events] == [event[2] for event in alone[:published]]
    assert publisher.tally.accepted == published < len(alone)


def test_a_worker_that_fails_says_why() -> None:
    with Pool(Preparation("okta", "acme"), 1) as pool:
        pool.send(7)  # type: ignore[arg-type]  # a fault that no input can cause
        assert pool.is_full
        with pytest.raises(WorkerFailed, match="TypeError"):
            pool.receive()


def test_workers_end_with_the_pool() -> None:
    pool = Pool(Preparation("okta", "acme"), 2)
    processes = [process for process, _ in pool._workers]
    pool.close()
    assert [process.exitcode for process in processes] == [0, 0]
