"""FAULTS 22 to 24: a service goes on while Kafka is away, is killed, forks, or ends carelessly.

Real Kafka, stopped and started. Each test judges what reached the topic by the oracle: missing and
repeated counted apart. A repeat is allowed where a process was killed or a connection given up (the
id is the deduplication key); a loss, or a first copy out of its place, never.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka import Message
from confluent_kafka.admin import NewTopic

from auditbus.deploy.local.ports import free_port
from auditbus.producers import (
    AuditProducer,
    Delivery,
    DeliveryFailed,
    ProducerClosed,
    QueueFull,
    Spool,
    SpoolFull,
    WouldBlock,
)
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.oracle import ALL_WELL, judge
from tests.pipeline import environment_of, read_topic, settings_with_topics, wait_until

_TOPIC = "audit.events"
_QUIET = {"log_level": 0}
_ROOT = Path(__file__).parents[2]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The directory of a spool, not there yet."""
    return tmp_path / "spool"


@pytest.fixture
def settings(fresh_kafka: Kafka) -> Settings:
    """The broker of this test's own, with its topics."""
    return settings_with_topics(environment_of(fresh_kafka.bootstrap_servers, ""))


def _producer(settings: Settings, **more: Any) -> AuditProducer:
    options = {**_QUIET, **more.pop("options", {})}
    return AuditProducer(settings.kafka.bootstrap_servers, options=options, **more)


def _emit(producer: AuditProducer, number: int, **more: Any) -> Delivery:
    return producer.emit(
        action="Login", account={"id": f"a{number % 7}"}, metadata={"n": number}, **more
    )


def _events(settings: Settings, count: int, deadline_s: float = 60) -> list[dict[str, Any]]:
    """Read the topic until it holds `count` different ids, or the deadline."""
    messages = read_topic(
        settings,
        _TOPIC,
        until=lambda found: len(found) >= count and len(_ids(_decoded(found))) >= count,
        deadline_s=deadline_s,
    )
    return _decoded(messages)


def _decoded(messages: Iterable[Message]) -> list[dict[str, Any]]:
    return [orjson.loads(message.value() or b"") for message in messages]


def _ids(events: Iterable[dict[str, Any]]) -> set[str]:
    return {event["id"] for event in events}


def _first_copies(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    seen: set[str] = set()
    return [e for e in events if e["id"] not in seen and not seen.add(e["id"])]  # type: ignore[func-returns-value]


def _assert_in_order(events: Sequence[dict[str, Any]]) -> None:
    """First copies, per account, in the order in which they were emitted."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for event in _first_copies(events):
        numbers[event["account"]["id"]].append(event["metadata"]["n"])
    for account, found in numbers.items():
        assert found == sorted(found), account


def _assert_gapless(events: Iterable[dict[str, Any]]) -> None:
    """`seq` without a gap per (instance, epoch)."""
    found: dict[tuple[str, int], set[int]] = defaultdict(set)
    for event in events:
        stamp = event["producer"]
        found[stamp["instance"], stamp["epoch"]].add(stamp["seq"])
    assert found
    for key, numbers in found.items():
        assert numbers == set(range(1, len(numbers) + 1)), key


def _assert_complete(
    settings: Settings, emitted: Sequence[str], *, may_repeat: bool = False
) -> list[dict[str, Any]]:
    events = _events(settings, len(emitted))
    findings = judge(emitted, [event["id"] for event in events])
    if may_repeat:
        assert findings.missing == []
        assert findings.unexpected == []
    else:
        assert findings == ALL_WELL
    _assert_in_order(events)
    _assert_gapless(events)
    return events


def _is_empty(directory: Path) -> bool:
    return not list(directory.glob("*/*.seg"))


def test_22_kafka_is_away_for_long_while_a_service_emits(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """Ten minutes scaled down: beyond the delivery timeout, beyond what the queue holds."""
    producer = _producer(
        settings,
        spool=Spool(spool, after_s=0.5),
        delivery_timeout_s=2,
        options={"queue.buffering.max.messages": 1_000},
    )
    emitted, slowest_s = [], 0.0
    emitted += [_emit(producer, number).id for number in range(500)]
    producer.flush()
    fresh_kafka.kill()
    ends_s = time.monotonic() + 8
    number = 500
    while time.monotonic() < ends_s:
        before_s = time.perf_counter()
        emitted.append(_emit(producer, number).id)
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
        number += 1
        time.sleep(0.0005)
    away = producer.metrics()
    assert away.spooled_events > 1_000  # more than the queue holds
    assert away.accepted == len(emitted)
    assert slowest_s < 1.0
    fresh_kafka.start()
    # It goes on while the spool drains.
    emitted += [_emit(producer, later).id for later in range(number, number + 2_000)]
    wait_until(
        lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="the spool drains"
    )
    producer.close()
    assert _is_empty(spool)
    _assert_complete(settings, emitted, may_repeat=True)


_EMITTER = """
import sys, time
from auditbus.producers import AuditProducer, Spool
servers, directory, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
producer = AuditProducer(servers, spool=Spool(directory, after_s=0.5), options={"log_level": 0})
for number in range(first, first + count):
    delivery = producer.emit(
        action="Login", account={"id": f"a{number % 7}"}, metadata={"n": number}
    )
    print(delivery.id, flush=True)
    while number == first and not delivery.done:
        time.sleep(0.01)
print("all", flush=True)
time.sleep(600)
"""


def _spawn(program: str, *words: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, text=True
    )


def _ids_until_all(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    ids = [line.strip() for line in iter(process.stdout.readline, "all\n") if line]
    assert process.poll() is None
    return ids


def _kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_22_the_process_is_killed_while_kafka_is_away_and_the_next_one_drains_its_spool(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    servers = settings.kafka.bootstrap_servers
    fresh_kafka.kill()
    process = _spawn(_EMITTER, servers, spool, 0, 3_000)
    emitted = _ids_until_all(process)  # the first was spooled: so are all that follow
    _kill(process)
    torn = max(spool.glob("*/*.seg"))
    with torn.open("ab") as file:
        file.write(b"\x99\x01\x00\x00half a frame")
    with _producer(settings, spool=Spool(spool, after_s=0.5)) as restarted:
        for number in range(3_000, 3_500):  # behind what the dead process left
            emitted.append(_emit(restarted, number).id)
        assert not restarted.metrics().acknowledged
        fresh_kafka.start()
        wait_until(lambda: restarted.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    events = _assert_complete(settings, emitted)
    assert len({event["producer"]["instance"] for event in events}) == 2
    assert list(spool.iterdir()) == []


def test_22_a_process_killed_in_the_midst_of_the_drain_loses_nothing(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    fresh_kafka.kill()
    process = _spawn(_EMITTER, settings.kafka.bootstrap_servers, spool, 0, 20_000)
    emitted = _ids_until_all(process)
    fresh_kafka.start()
    read_topic(settings, _TOPIC, until=lambda found: len(found) > 100)
    _kill(process)
    with _producer(settings, spool=Spool(spool)) as restarted:
        wait_until(lambda: restarted.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    _assert_complete(settings, emitted, may_repeat=True)


def test_22_kafka_comes_and_goes_and_comes(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = _producer(settings, spool=Spool(spool, after_s=0.3))
    emitted: list[str] = []
    stop = threading.Event()

    def emit() -> None:
        number = 0
        while not stop.wait(0.001):
            emitted.append(_emit(producer, number).id)
            number += 1

    thread = threading.Thread(target=emit)
    thread.start()
    try:
        for end in (fresh_kafka.kill, fresh_kafka.stop, fresh_kafka.kill):
            before = producer.metrics().acknowledged
            wait_until(
                lambda before=before: producer.metrics().acknowledged > before + 100,  # type: ignore[misc]
                deadline_s=60,
                what="Kafka takes some",
            )
            end()
            wait_until(
                lambda: producer.metrics().spooled_events > 300, deadline_s=30, what="some spooled"
            )
            fresh_kafka.start()
    finally:
        stop.set()
        thread.join()
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    producer.close()
    _assert_complete(settings, emitted, may_repeat=True)


def test_22_acknowledged_and_fail_closed_while_kafka_is_away(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = _producer(
        settings,
        spool=Spool(spool, after_s=0.3),
        delivery={"RetentionPolicyDeleted": "fail_closed", "Login": "acknowledged"},
    )
    taken = [_emit(producer, 0), producer.emit(action="RetentionPolicyDeleted")]
    assert all(delivery.acknowledged for delivery in taken)
    fresh_kafka.kill()
    # In flight when Kafka goes: raised, and taken back.
    with pytest.raises(DeliveryFailed) as failed:
        producer.emit(action="RetentionPolicyDeleted", timeout_s=0.2)
    assert failed.value.may_retry
    spooled = _emit(producer, 1)
    assert spooled.spooled
    # While it is away: refused before anything was taken.
    with pytest.raises(DeliveryFailed, match="took no event within"):
        producer.emit(action="RetentionPolicyDeleted", timeout_s=0.2)
    with pytest.raises(DeliveryFailed):
        producer.emit(action="Logout", delivery="fail_closed", timeout_s=0.2)
    assert producer.metrics().spooled_events == 1
    fresh_kafka.start()
    taken += [spooled, producer.emit(action="RetentionPolicyDeleted", timeout_s=60)]
    assert taken[-1].acknowledged
    producer.close()
    events = _events(settings, len(taken))
    assert judge([delivery.id for delivery in taken], [e["id"] for e in events]) == ALL_WELL
    # The one that was raised in flight keeps its number: it might have been stored.
    assert [event["producer"]["seq"] for event in events if event["id"] == taken[-1].id] == [5]


def test_23_a_spool_that_is_full_refuses_loudly_and_keeps_what_it_took(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    fresh_kafka.kill()
    producer = _producer(settings, spool=Spool(spool, max_bytes=200_000, after_s=0.3))
    emitted = _fill(producer)
    assert producer.metrics().spooled_bytes <= 200_000
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_bytes == 0, deadline_s=60, what="it drains")
    emitted.append(_emit(producer, 1_000_000).id)  # there is room again
    producer.close()
    _assert_complete(settings, emitted)


def _fill(producer: AuditProducer) -> list[str]:
    """Emit until it is refused, thrice; return the ids of what was taken."""
    first = _emit(producer, 0)
    first.wait(30)
    assert first.spooled
    emitted = [first.id]
    for number in range(1, 100_000):
        try:
            emitted.append(_emit(producer, number).id)
        except QueueFull as refused:
            assert isinstance(refused, SpoolFull)  # noqa: PT017
            break
    for number in range(3):
        with pytest.raises(SpoolFull):
            producer.emit(action="Login", metadata={"n": number, "more": "x" * 1_000})
    return emitted


_TINY_DISK = """
import os, sys, resource
sys.path.insert(0, os.getcwd())
from auditbus.producers import AuditProducer, Spool, SpoolFull
servers, directory = sys.argv[1:]
producer = AuditProducer(servers, spool=Spool(directory, after_s=0.3), options={"log_level": 0})
first = producer.emit(action="Login", account={"id": "a"}, metadata={"n": 0})
first.wait(30)
print(first.id)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
for number in range(1, 10_000):
    try:
        print(producer.emit(action="Login", account={"id": "a"}, metadata={"n": number}).id)
    except SpoolFull as full:
        print(full, file=sys.stderr)
        break
print("all", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    path = tmp_path / "tiny"
    path.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(path)]
    mounted = subprocess.run(words, check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a file system: {mounted.stderr.strip()}")
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_23_a_disk_that_is_full_refuses_loudly_and_what_was_taken_is_kept(
    fresh_kafka: Kafka, settings: Settings, tiny_disk: Path
) -> None:
    fresh_kafka.kill()
    producer = _producer(settings, spool=Spool(tiny_disk, after_s=0.3))
    emitted = _fill(producer)
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_bytes == 0, deadline_s=60, what="it drains")
    emitted.append(_emit(producer, 1_000_000).id)
    producer.close()
    _assert_complete(settings, emitted)


def test_23_a_disk_that_is_full_when_kafka_goes_keeps_in_memory_what_was_taken(
    fresh_kafka: Kafka, settings: Settings, tiny_disk: Path
) -> None:
    producer = _producer(settings, spool=Spool(tiny_disk, after_s=0.3))
    _emit(producer, 0, delivery="fail_closed", timeout_s=60)
    outbox: Any = producer._outbox
    # The first connection may have taken longer than after_s: straight to Kafka from here on.
    wait_until(outbox._live.is_set, deadline_s=30, what="it is live")
    with (tiny_disk / "somebody else's").open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"x" * 4096):  # to the last byte
            pass
    fresh_kafka.kill()
    emitted = [_emit(producer, number).id for number in range(1, 1_000)]
    wait_until(lambda: not outbox._live.is_set(), deadline_s=30, what="it is noticed")
    emitted += [_emit(producer, number).id for number in range(1_000, 1_500)]
    fresh_kafka.start()
    wait_until(
        lambda: producer.metrics().acknowledged >= 1_500, deadline_s=60, what="all acknowledged"
    )
    producer.close()
    events = _events(settings, 1_500)
    found = [event["id"] for event in events if event["metadata"]["n"]]
    assert judge(emitted, found).missing == []
    _assert_in_order(events)
    _assert_gapless(events)


def test_23_a_write_that_fails_in_the_middle_leaves_a_whole_spool(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """The kernel refuses beyond RLIMIT_FSIZE, in the midst of a frame."""
    fresh_kafka.kill()
    process = subprocess.Popen(
        [sys.executable, "-c", _TINY_DISK, settings.kafka.bootstrap_servers, str(spool)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        cwd=_ROOT,
    )
    emitted = _ids_until_all(process)
    assert process.stderr is not None
    _kill(process)
    assert "File too large" in process.stderr.read()
    process.stderr.close()
    assert process.stdin is not None
    process.stdin.close()
    fresh_kafka.start()
    with _producer(settings, spool=Spool(spool)):
        pass  # adopts, drains, ends
    assert len(emitted) > 100
    _assert_complete(settings, emitted)


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
    events = _events(settings, len(emitted) + 1)
    master = [event for event in events if event["account"]["id"] == "master"]
    workers = [event for event in events if event not in master]
    assert len(master) == 1
    # The probe for an answer emits too.
    assert judge(emitted, [e["id"] for e in workers if e["metadata"]["n"]]) == ALL_WELL
    assert len({event["account"]["id"] for event in workers}) > 1
    _assert_in_order(events)
    _assert_gapless(events)
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
sys.exit(any(statuses))
"""


@pytest.mark.parametrize("spooled", [False, True], ids=["queue", "spool"])
def test_24_forks_in_the_midst_of_emit_and_children_that_end_without_close(
    fresh_kafka: Kafka, settings: Settings, spool: Path, *, spooled: bool
) -> None:
    directory = spool if spooled else ""
    process = _spawn(_FORKER, settings.kafka.bootstrap_servers, directory)
    assert process.stdout is not None
    emitted = [line.strip() for line in iter(process.stdout.readline, "all\n") if line]
    process.stdout.close()
    assert process.wait(60) == 0
    events = _assert_complete(settings, emitted)
    assert len({event["producer"]["instance"] for event in events}) == 9
    assert len(emitted) > 9 * 50
    assert not spooled or list(spool.iterdir()) == []


def test_24_many_threads_emit_while_kafka_comes_and_goes(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = _producer(settings, spool=Spool(spool, after_s=0.3))
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
    _assert_complete(settings, [id_ for ids in emitted for id_ in ids], may_repeat=True)


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
        producer = _producer(
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
            emitted.append(_emit(producer, number).id)
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
    _assert_complete(settings, emitted, may_repeat=True)


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
    _assert_complete(settings, emitted)


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
    with _producer(settings, spool=Spool(spool)):
        pass  # adopts, drains, ends
    _assert_complete(settings, emitted, may_repeat=True)


def test_24_a_producer_closed_before_the_fork_stays_closed(settings: Settings) -> None:
    producer = _producer(settings)
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


def test_22_a_topic_that_does_not_exist_yet_costs_nothing(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """Kafka answers and refuses: the spool keeps the events until somebody mends it."""
    options = {"topic.metadata.propagation.max.ms": 500, "topic.metadata.refresh.interval.ms": 500}
    producer = _producer(
        settings, topic="made.later", spool=Spool(spool, after_s=0.3), options=options
    )
    emitted = [_emit(producer, number).id for number in range(300)]
    wait_until(
        lambda: producer.metrics().spooled_events == 300, deadline_s=30, what="all are spooled"
    )
    emitted += [_emit(producer, number).id for number in range(300, 600)]
    admin = new_admin(settings.kafka)
    admin.create_topics([NewTopic("made.later", 4)])["made.later"].result(10)
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=90, what="it drains")
    producer.close()
    messages = read_topic(settings, "made.later", until=lambda found: len(found) >= 600)
    events = _decoded(messages)
    assert judge(emitted, [event["id"] for event in events]).missing == []
    assert producer.metrics().failed == 0
    _assert_in_order(events)
    _assert_gapless(events)


def test_22_an_event_that_no_broker_takes_does_not_hold_up_the_others(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    admin = new_admin(settings.kafka)
    small = NewTopic("small", 4, config={"max.message.bytes": "20000"})
    admin.create_topics([small])["small"].result(10)
    fresh_kafka.kill()
    producer = _producer(
        settings,
        topic="small",
        spool=Spool(spool, after_s=0.3),
        options={"compression.type": "none", "batch.num.messages": 1},
    )
    emitted = [_emit(producer, number).id for number in range(10)]
    poison = _emit(producer, 10, description="x" * 100_000)
    emitted += [_emit(producer, number).id for number in range(11, 20)]
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    assert producer.metrics().failed == 1
    assert producer.metrics().acknowledged == 19
    with suppress(DeliveryFailed):  # told here where the handle was not spooled in time
        producer.close()
    events = _decoded(read_topic(settings, "small", until=lambda found: len(found) >= 19))
    assert judge(emitted, [event["id"] for event in events]) == ALL_WELL
    assert poison.id not in _ids(events)
    _assert_in_order(events)


def test_22_kafka_hangs_and_a_fail_closed_caller_has_the_connection_given_up(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """What is in flight then may have been taken, may not: it comes again, each in its place."""
    pid = getattr(fresh_kafka, "pid", None)
    if pid is None:
        pytest.skip("a container's broker cannot be halted from here")
    producer = _producer(settings, spool=Spool(spool, after_s=0.5))
    emitted = [_emit(producer, 0, delivery="fail_closed", timeout_s=60).id]
    os.kill(pid, signal.SIGSTOP)
    try:
        emitted += [_emit(producer, number).id for number in range(1, 500)]
        with pytest.raises(DeliveryFailed):
            producer.emit(action="Logout", delivery="fail_closed", timeout_s=0.3)
        emitted += [_emit(producer, number).id for number in range(500, 1_000)]
        wait_until(
            lambda: producer.metrics().spooled_events == 999, deadline_s=30, what="all spooled"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    emitted += [_emit(producer, number).id for number in range(1_000, 1_500)]
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    producer.close()
    events = _events(settings, len(emitted))
    events = [event for event in events if event["action"] == "Login"]  # the other one may be there
    findings = judge(emitted, [event["id"] for event in events])
    assert findings.missing == []
    assert findings.unexpected == []
    _assert_in_order(events)
    assert len({event["producer"]["seq"] for event in _first_copies(events)}) == len(emitted)
