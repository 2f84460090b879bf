"""Fault 22: a service goes on while Kafka is away, is killed meanwhile, and loses nothing.

Real Kafka, stopped and started. Each test judges what reached the topic by the oracle: missing and
repeated counted apart. A repeat is allowed where a process was killed or a connection given up (the
id is the deduplication key); a loss, or a first copy out of its place, never.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka.admin import NewTopic

from auditbus.producers import DeliveryFailed, Spool
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.oracle import ALL_WELL, judge
from tests.pipeline import read_topic, wait_until
from tests.producing import (
    TOPIC,
    assert_complete,
    assert_gapless,
    assert_in_order,
    decoded,
    emit_numbered,
    events_of,
    first_copies,
    ids_of,
    ids_until_all,
    is_empty,
    kill,
    quiet_producer,
    spawn,
)


def test_22_kafka_is_away_for_long_while_a_service_emits(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """Ten minutes scaled down: beyond the delivery timeout, beyond what the queue holds."""
    producer = quiet_producer(
        settings,
        spool=Spool(spool, after_s=0.5),
        delivery_timeout_s=2,
        options={"queue.buffering.max.messages": 1_000},
    )
    emitted, slowest_s = [], 0.0
    emitted += [emit_numbered(producer, number).id for number in range(500)]
    producer.flush()
    fresh_kafka.kill()
    ends_s = time.monotonic() + 8
    number = 500
    while time.monotonic() < ends_s:
        before_s = time.perf_counter()
        emitted.append(emit_numbered(producer, number).id)
        slowest_s = max(slowest_s, time.perf_counter() - before_s)
        number += 1
        time.sleep(0.0005)
    away = producer.metrics()
    assert away.spooled_events > 1_000  # more than the queue holds
    assert away.accepted == len(emitted)
    assert slowest_s < 1.0
    fresh_kafka.start()
    # It goes on while the spool drains.
    emitted += [emit_numbered(producer, later).id for later in range(number, number + 2_000)]
    wait_until(
        lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="the spool drains"
    )
    producer.close()
    assert is_empty(spool)
    assert_complete(settings, emitted, may_repeat=True)


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


def test_22_the_process_is_killed_while_kafka_is_away_and_the_next_one_drains_its_spool(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    servers = settings.kafka.bootstrap_servers
    fresh_kafka.kill()
    process = spawn(_EMITTER, servers, spool, 0, 3_000)
    emitted = ids_until_all(process)  # the first was spooled: so are all that follow
    kill(process)
    torn = max(spool.glob("*/*.seg"))
    with torn.open("ab") as file:
        file.write(b"\x99\x01\x00\x00half a frame")
    with quiet_producer(settings, spool=Spool(spool, after_s=0.5)) as restarted:
        for number in range(3_000, 3_500):  # behind what the dead process left
            emitted.append(emit_numbered(restarted, number).id)
        assert not restarted.metrics().acknowledged
        fresh_kafka.start()
        wait_until(lambda: restarted.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    events = assert_complete(settings, emitted)
    assert len({event["producer"]["instance"] for event in events}) == 2
    assert list(spool.iterdir()) == []


def test_22_a_process_killed_in_the_midst_of_the_drain_loses_nothing(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    fresh_kafka.kill()
    process = spawn(_EMITTER, settings.kafka.bootstrap_servers, spool, 0, 20_000)
    emitted = ids_until_all(process)
    fresh_kafka.start()
    read_topic(settings, TOPIC, until=lambda found: len(found) > 100)
    kill(process)
    with quiet_producer(settings, spool=Spool(spool)) as restarted:
        wait_until(lambda: restarted.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    assert_complete(settings, emitted, may_repeat=True)


def test_22_kafka_comes_and_goes_and_comes(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = quiet_producer(settings, spool=Spool(spool, after_s=0.3))
    emitted: list[str] = []
    stop = threading.Event()

    def emit() -> None:
        number = 0
        while not stop.wait(0.001):
            emitted.append(emit_numbered(producer, number).id)
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
    assert_complete(settings, emitted, may_repeat=True)


def test_22_acknowledged_and_fail_closed_while_kafka_is_away(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    producer = quiet_producer(
        settings,
        spool=Spool(spool, after_s=0.3),
        delivery={"RetentionPolicyDeleted": "fail_closed", "Login": "acknowledged"},
    )
    taken = [emit_numbered(producer, 0), producer.emit(action="RetentionPolicyDeleted")]
    assert all(delivery.acknowledged for delivery in taken)
    fresh_kafka.kill()
    # In flight when Kafka goes: raised, and taken back.
    with pytest.raises(DeliveryFailed) as failed:
        producer.emit(action="RetentionPolicyDeleted", timeout_s=0.2)
    assert failed.value.may_retry
    spooled = emit_numbered(producer, 1)
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
    events = events_of(settings, len(taken))
    assert judge([delivery.id for delivery in taken], [e["id"] for e in events]) == ALL_WELL
    # The one that was raised in flight keeps its number: it might have been stored.
    assert [event["producer"]["seq"] for event in events if event["id"] == taken[-1].id] == [5]


def test_22_a_topic_that_does_not_exist_yet_costs_nothing(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """Kafka answers and refuses: the spool keeps the events until somebody mends it."""
    options = {"topic.metadata.propagation.max.ms": 500, "topic.metadata.refresh.interval.ms": 500}
    producer = quiet_producer(
        settings, topic="made.later", spool=Spool(spool, after_s=0.3), options=options
    )
    emitted = [emit_numbered(producer, number).id for number in range(300)]
    wait_until(
        lambda: producer.metrics().spooled_events == 300, deadline_s=30, what="all are spooled"
    )
    emitted += [emit_numbered(producer, number).id for number in range(300, 600)]
    admin = new_admin(settings.kafka)
    admin.create_topics([NewTopic("made.later", 4)])["made.later"].result(10)
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=90, what="it drains")
    producer.close()
    messages = read_topic(settings, "made.later", until=lambda found: len(found) >= 600)
    events = decoded(messages)
    assert judge(emitted, [event["id"] for event in events]).missing == []
    assert producer.metrics().failed == 0
    assert_in_order(events)
    assert_gapless(events)


def test_22_an_event_that_no_broker_takes_does_not_hold_up_the_others(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    admin = new_admin(settings.kafka)
    small = NewTopic("small", 4, config={"max.message.bytes": "20000"})
    admin.create_topics([small])["small"].result(10)
    fresh_kafka.kill()
    producer = quiet_producer(
        settings,
        topic="small",
        spool=Spool(spool, after_s=0.3),
        options={"compression.type": "none", "batch.num.messages": 1},
    )
    emitted = [emit_numbered(producer, number).id for number in range(10)]
    poison = emit_numbered(producer, 10, description="x" * 100_000)
    emitted += [emit_numbered(producer, number).id for number in range(11, 20)]
    fresh_kafka.start()
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    assert producer.metrics().failed == 1
    assert producer.metrics().acknowledged == 19
    with suppress(DeliveryFailed):  # told here where the handle was not spooled in time
        producer.close()
    events = decoded(read_topic(settings, "small", until=lambda found: len(found) >= 19))
    assert judge(emitted, [event["id"] for event in events]) == ALL_WELL
    assert poison.id not in ids_of(events)
    assert_in_order(events)


def test_22_kafka_hangs_and_a_fail_closed_caller_has_the_connection_given_up(
    fresh_kafka: Kafka, settings: Settings, spool: Path
) -> None:
    """What is in flight then may have been taken, may not: it comes again, each in its place."""
    pid = getattr(fresh_kafka, "pid", None)
    if pid is None:
        pytest.skip("a container's broker cannot be halted from here")
    producer = quiet_producer(settings, spool=Spool(spool, after_s=0.5))
    emitted = [emit_numbered(producer, 0, delivery="fail_closed", timeout_s=60).id]
    os.kill(pid, signal.SIGSTOP)
    try:
        emitted += [emit_numbered(producer, number).id for number in range(1, 500)]
        with pytest.raises(DeliveryFailed):
            producer.emit(action="Logout", delivery="fail_closed", timeout_s=0.3)
        emitted += [emit_numbered(producer, number).id for number in range(500, 1_000)]
        wait_until(
            lambda: producer.metrics().spooled_events == 999, deadline_s=30, what="all spooled"
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    emitted += [emit_numbered(producer, number).id for number in range(1_000, 1_500)]
    wait_until(lambda: producer.metrics().spooled_events == 0, deadline_s=60, what="it drains")
    producer.close()
    events = events_of(settings, len(emitted))
    events = [event for event in events if event["action"] == "Login"]  # the other one may be there
    findings = judge(emitted, [event["id"] for event in events])
    assert findings.missing == []
    assert findings.unexpected == []
    assert_in_order(events)
    assert len({event["producer"]["seq"] for event in first_copies(events)}) == len(emitted)
