"""Fault 24, forks: gunicorn with --preload, and forks in the midst of `emit`."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections import defaultdict
from pathlib import Path

import pytest

from auditbus.deploy.local.ports import free_port
from auditbus.producers import ProducerClosed
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.oracle import ALL_WELL, judge
from tests.pipeline import wait_until
from tests.producing import (
    assert_complete,
    assert_gapless,
    assert_in_order,
    events_of,
    quiet_producer,
    spawn,
)

_APP = """
import os
from auditbus.producers import AuditProducer, Spool
producer = AuditProducer(  # before the fork: gunicorn loads this with --preload
    os.environ["SERVERS"], service="shop", instance="pod-1",
    spool=Spool(os.environ["SPOOL"]) if "SPOOL" in os.environ else None,
    options={"log_level": 0},
)
producer.emit(action="Login", account={"id": "master"}, metadata={"n": 0})

def app(environ, start_response):
    number = int(environ["QUERY_STRING"])
    delivery = producer.emit(
        action="Login", account={"id": f"pid-{os.getpid()}"}, metadata={"n": number}
    )
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [delivery.id.encode()]
"""


@pytest.mark.parametrize("spooled", [False, True], ids=["queue", "spool"])
def test_24_gunicorn_forks_after_the_producer_was_made(
    fresh_kafka: Kafka, settings: Settings, tmp_path: Path, spool: Path, *, spooled: bool
) -> None:
    """Workers are killed by gunicorn's own SIGTERM, without a word to the producer."""
    (tmp_path / "shop.py").write_text(_APP)
    port = free_port()
    environment = {**os.environ, "SERVERS": settings.kafka.bootstrap_servers}
    if spooled:
        environment["SPOOL"] = str(spool)
    words = ["-m", "gunicorn", "--preload", "--workers", "3", "--bind", f"127.0.0.1:{port}"]
    quiet = ["--log-level", "error", "--no-control-socket"]  # that one would lie in the home
    server = subprocess.Popen(
        [sys.executable, *words, *quiet, "shop:app"], cwd=tmp_path, env=environment
    )
    try:
        wait_until(lambda: _answers(port), deadline_s=30, what="gunicorn answers")
        emitted = [_get(port, number) for number in range(1, 400)]
    finally:
        server.terminate()
        assert server.wait(30) == 0
    events = events_of(settings, len(emitted) + 1)
    master = [event for event in events if event["account"]["id"] == "master"]
    workers = [event for event in events if event not in master]
    assert len(master) == 1
    # The probe for an answer emits too.
    assert judge(emitted, [e["id"] for e in workers if e["metadata"]["n"]]) == ALL_WELL
    assert len({event["account"]["id"] for event in workers}) > 1
    assert_in_order(events)
    assert_gapless(events)
    pids_by_stamp = defaultdict(set)
    for event in events:
        stamp = event["producer"]
        pids_by_stamp[stamp["instance"], stamp["epoch"]].add(event["account"]["id"])
        assert stamp["service"] == "shop"
        assert stamp["instance"].startswith("pod-1")
    assert all(len(pids) == 1 for pids in pids_by_stamp.values())
    assert not spooled or list(spool.iterdir()) == []


def _answers(port: int) -> bool:
    try:
        _get(port, 0)
    except OSError:
        return False
    return True


def _get(port: int, number: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/?{number}", timeout=10) as answer:
        return str(answer.read().decode())


_FORKER = """
import os, sys, threading
from auditbus.producers import AuditProducer, Spool
servers, directory = sys.argv[1:]
producer = AuditProducer(
    servers, spool=Spool(directory) if directory else None, options={"log_level": 0}
)
def emit(account, numbers):
    for number in numbers:
        delivery = producer.emit(action="Login", account={"id": account}, metadata={"n": number})
        os.write(1, delivery.id.encode() + b"\\n")
stop = threading.Event()
def keep_emitting():
    number = 0
    while not stop.is_set():
        emit("thread", [number])
        number += 1
thread = threading.Thread(target=keep_emitting)
thread.start()  # the fork happens while another thread is in the midst of emit
children = []
for child in range(8):
    pid = os.fork()
    if pid == 0:
        stop.set()
        emit(f"child-{child}", range(50))
        sys.exit(0)  # without close: the exit handler flushes
    children.append(pid)
stop.set()
thread.join()
statuses = [os.waitpid(pid, 0)[1] for pid in children]
emit("parent", range(50))
os.write(1, b"all\\n")
sys.exit(f"children ended with {statuses}" if any(statuses) else 0)
"""


@pytest.mark.parametrize("spooled", [False, True], ids=["queue", "spool"])
def test_24_forks_in_the_midst_of_emit_and_children_that_end_without_close(
    fresh_kafka: Kafka, settings: Settings, spool: Path, *, spooled: bool
) -> None:
    directory = spool if spooled else ""
    process = spawn(_FORKER, settings.kafka.bootstrap_servers, directory)
    assert process.stdout is not None
    emitted = [line.strip() for line in iter(process.stdout.readline, "all\n") if line]
    process.stdout.close()
    assert process.wait(60) == 0
    events = assert_complete(settings, emitted)
    assert len({event["producer"]["instance"] for event in events}) == 9
    assert len(emitted) > 9 * 50
    assert not spooled or list(spool.iterdir()) == []


def test_24_a_producer_closed_before_the_fork_stays_closed(settings: Settings) -> None:
    producer = quiet_producer(settings)
    producer.close()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        answer = b"emitted"
        try:
            producer.emit(action="Login")
        except ProducerClosed:
            answer = b"closed"
        os.write(writer, answer)
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100) == b"closed"
    os.close(reader)
    os.close(writer)
