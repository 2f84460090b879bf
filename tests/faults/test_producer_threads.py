"""Fault 24: threads, an event loop, and interpreters that end without a word to the producer."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from auditbus.producers import AuditProducer, Spool, WouldBlock
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.pipeline import wait_until
from tests.producing import assert_complete, emit_numbered, quiet_producer


def test_24_many_threads_emit_while_kafka_comes_and_goes(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = quiet_producer(settings, spool=Spool(spool, after_s=0.3))
    stop, emitted = threading.Event(), [[] for _ in range(8)]

    def emit(ids: list[str], name: int) -> None:
        number = 0
        while not stop.wait(0.002):
            account = {"id": f"thread-{name}"}
            ids.append(producer.emit(action="Login", account=account, metadata={"n": number}).id)
            number += 1

    threads = [threading.Thread(target=emit, args=(emitted[n], n)) for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: producer.metrics().acknowledged > 500, deadline_s=30, what="some")
        fresh_kafka.kill()
        wait_until(lambda: producer.metrics().spooled_events > 500, deadline_s=30, what="some")
        fresh_kafka.start()
        accepted = producer.metrics().accepted
        wait_until(
            lambda: producer.metrics().acknowledged > accepted, deadline_s=60, what="it goes on"
        )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    producer.close()
    assert_complete(settings, [id_ for ids in emitted for id_ in ids], may_repeat=True)


def test_24_an_event_loop_is_not_blocked(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    emitted: list[str] = []
    longest_s = 0.0

    async def watch(done: asyncio.Event) -> None:
        nonlocal longest_s
        while not done.is_set():
            before_s = time.perf_counter()
            await asyncio.sleep(0.005)
            longest_s = max(longest_s, time.perf_counter() - before_s)

    async def serve() -> AuditProducer:
        producer = quiet_producer(
            settings,
            spool=Spool(spool, after_s=0.3),
            delivery={"RetentionPolicyDeleted": "acknowledged"},
        )
        done = asyncio.Event()
        watcher = asyncio.create_task(watch(done))
        with pytest.raises(WouldBlock, match="await emit_async"):
            producer.emit(action="RetentionPolicyDeleted")
        with pytest.raises(WouldBlock):
            producer.emit_and_wait(action="Login")
        assert producer.metrics().accepted == 0
        fine = await producer.emit_async(
            action="Login",
            account={"id": "a"},
            metadata={"n": -1},
            delivery="fail_closed",
            timeout_s=60,
        )
        assert fine.acknowledged
        emitted.append(fine.id)
        await asyncio.to_thread(fresh_kafka.kill)
        for number in range(3_000):  # best effort, in the loop itself: to the queue, to the spool
            emitted.append(emit_numbered(producer, number).id)
            if number % 20 == 0:
                await asyncio.sleep(0.01)
        assert producer.metrics().spooled_events > 500
        sure = await producer.emit_async(
            action="RetentionPolicyDeleted", account={"id": "a"}, metadata={"n": 0}
        )
        assert sure.spooled
        emitted.append(sure.id)
        done.set()
        await watcher
        return producer

    producer = asyncio.run(serve())
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    producer.close()
    assert longest_s < 0.5  # an outage of seconds; one sleep of 5 ms on two busy cores
    assert_complete(settings, emitted, may_repeat=True)


_CARELESS = """
import logging, sys
logging.basicConfig(format="%(message)s")
from auditbus.producers import AuditProducer, Spool
servers, directory = sys.argv[1:]
producer = AuditProducer(
    servers, spool=Spool(directory, after_s=60) if directory else None, options={"log_level": 0}
)
for number in range(100):
    print(producer.emit(action="Login", account={"id": "a"}, metadata={"n": number}).id)
"""


def _careless(servers: str, directory: Path | str) -> tuple[list[str], str]:
    done = subprocess.run(
        [sys.executable, "-c", _CARELESS, servers, str(directory)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.split(), done.stderr


def test_24_an_interpreter_that_ends_without_flush_flushes(
    fresh_kafka: Kafka, settings: Settings
) -> None:
    emitted, complaint = _careless(settings.kafka.bootstrap_servers, "")
    assert complaint == ""
    assert_complete(settings, emitted)


def test_24_an_interpreter_that_ends_while_kafka_is_away_says_what_was_lost(
    fresh_kafka: Kafka, settings: Settings
) -> None:
    fresh_kafka.stop()
    emitted, complaint = _careless(settings.kafka.bootstrap_servers, "")
    assert len(emitted) == 100
    assert "the interpreter ended before close(): 100 events were not acknowledged" in complaint
    assert emitted[0] in complaint or emitted[-1] in complaint  # names one, shows none
    assert "account" not in complaint


def test_24_an_interpreter_that_ends_while_kafka_is_away_leaves_it_to_the_spool(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    fresh_kafka.stop()
    emitted, _ = _careless(settings.kafka.bootstrap_servers, spool)
    fresh_kafka.start()
    with quiet_producer(settings, spool=Spool(spool)):
        pass  # adopts, drains, ends
    assert_complete(settings, emitted, may_repeat=True)
