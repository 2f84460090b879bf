"""A destination that refuses, hangs, resets or is gone: nothing is lost, no other is slowed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from prometheus_client import REGISTRY

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    dead_letters,
    forwarder_process,
    forwarder_settings,
    forwarding,
    publish,
    publish_values,
    webhook,
)
from tests.pipeline import wait_until
from tests.webhook_receiver import Behaviour, Receiver, Reply, Request, receiving


def _first(count: int, reply: Reply) -> Behaviour:
    """Answer `reply` to the first requests, then take everything."""
    left = iter([reply] * count)
    lock = threading.Lock()

    def behave(_request: Request) -> Reply:
        with lock:
            return next(left, Reply())

    return behave


@pytest.mark.parametrize(
    ("reply", "timeout_s"),
    [
        (Reply(500), 5.0),
        (Reply(301, {"Location": "http://127.0.0.1:1/"}), 5.0),
        (Reply(drop=True), 5.0),  # took the body, closed without an answer
        (Reply(before=lambda: time.sleep(1.0)), 0.3),  # took it, but answers after the timeout
    ],
    ids=["500", "301", "reset", "timeout"],
)
def test_a_receiver_that_fails_for_a_while_gets_everything_in_order(
    kafka: Kafka, unique_prefix: str, reply: Reply, timeout_s: float
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, timeout_s=timeout_s)
        )
        receiver.behaviour = _first(7, reply)
        ids = publish(settings, settings.kafka.topics.enriched, 600)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 600, deadline_s=60, what="all delivered")
            if reply.status == 200 and not reply.drop:
                return _check_late_takes(receiver, ids)
        check_exactly_once(ids, receiver.delivered)
        for number in range(0, 50, 7):
            assert receiver.order(f"account-{number}") == list(range(number, 600, 50))
        tries = [r.id for r in receiver.requests]
        assert len(set(tries)) < len(tries)  # a retry carries the id of the first try
        bodies = {r.id: r.body for r in receiver.requests}
        assert all(bodies[r.id] == r.body for r in receiver.requests)  # and the same bytes
        assert not dead_letters(settings, 1, deadline_s=1)
    return None


def _check_late_takes(receiver: Receiver, ids: list[str]) -> None:
    """Whoever times out has them twice, under the same webhook-id: a receiver drops the second."""
    check_nothing_lost(ids, receiver.delivered)
    by_id: dict[str, bytes] = {}
    for request in list(receiver.taken):
        assert by_id.setdefault(request.id, request.body) == request.body


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured(kafka: Kafka, unique_prefix: str, as_date: bool) -> None:
    from email.utils import formatdate

    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, requests_in_flight=1)
        )
        times: list[float] = []

        def throttle(_request: Request) -> Reply:
            times.append(time.monotonic())
            if len(times) > 1:
                return Reply()
            value = formatdate(time.time() + 3, usegmt=True) if as_date else "2"
            return Reply(429, {"Retry-After": value})

        receiver.behaviour = throttle
        ids = publish(settings, settings.kafka.topics.enriched, 100)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 100, deadline_s=30, what="all delivered")
        assert times[1] - times[0] >= 1.9
        check_exactly_once(ids, receiver.delivered)


def test_an_expired_credential_pauses_and_alarms_and_loses_nothing(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, expired=webhook(receiver)
        )
        receiver.behaviour = lambda _: Reply(401)
        ids = publish(settings, settings.kafka.topics.enriched, 300)
        with forwarding(settings):
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="expired", code="http_401") == 1,
                deadline_s=30,
                what="the alarm",
            )
            ids += publish(settings, settings.kafka.topics.enriched, 300)
            wait_until(lambda: len(receiver.requests) > 8, deadline_s=30, what="more tries")
            assert _metric("audit_circuit_state", sink="expired") in {1, 2}
            assert sum(committed(settings, "expired").values()) == 0
            receiver.behaviour = lambda _: Reply()
            wait_until(lambda: len(receiver.delivered) == 600, deadline_s=30, what="all delivered")
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="expired", code="http_401") == 0,
                deadline_s=5,
                what="the alarm's end",
            )
        check_exactly_once(ids, receiver.delivered)
        assert not dead_letters(settings, 1, deadline_s=1)


def test_gone_stops_the_destination_until_it_is_restarted(kafka: Kafka, unique_prefix: str) -> None:
    with receiving() as receiver, receiving() as other:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            gone=webhook(receiver, requests_in_flight=1),
            other=webhook(other),
        )
        receiver.behaviour = lambda _: Reply(410)
        ids = publish(settings, settings.kafka.topics.enriched, 200)
        with forwarding(settings):
            wait_until(lambda: len(other.delivered) == 200, deadline_s=30, what="the other")
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="gone", code="http_410") == 1,
                deadline_s=30,
                what="the alarm",
            )
            ids += publish(settings, settings.kafka.topics.enriched, 200, first=200)
            wait_until(lambda: len(other.delivered) == 400, deadline_s=30, what="the other")
            # Several times the longest backoff (0.5 s) has gone by when the other has all of it.
            ids += publish(settings, settings.kafka.topics.enriched, 1, first=400)
            wait_until(lambda: len(other.delivered) == 401, deadline_s=30, what="the other")
        assert len(receiver.requests) == 1
        assert sum(committed(settings, "gone").values()) == 0
        receiver.behaviour = lambda _: Reply()
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 401, deadline_s=30, what="all delivered")
        check_exactly_once(ids, receiver.delivered)


def test_dead_destinations_neither_slow_a_live_one_nor_grow(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    """One black-holed, one refusing everything: the live one keeps its speed, memory is flat."""
    count = 20_000
    release = threading.Event()
    with receiving() as alone, receiving() as live, receiving() as hole, receiving() as refusing:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, alone=webhook(alone, linger_ms=200)
        )
        ids = publish(settings, settings.kafka.topics.enriched, count)
        took_alone_s, _ = _time_delivery(settings, tmp_path, "alone", alone, count)
        hole.behaviour = lambda _: Reply(503, before=lambda: release.wait(60))
        refusing.behaviour = lambda _: Reply(500)
        crowded = settings.model_copy(
            update={
                "forwarder": settings.forwarder.model_copy(
                    update={
                        "destinations": {
                            "live": webhook(live, linger_ms=200),
                            "hole": webhook(hole, timeout_s=20.0),
                            "refusing": webhook(refusing),
                        }
                    }
                )
            }
        )
        took_crowded_s, grown_kb = _time_delivery(crowded, tmp_path, "crowded", live, count)
        release.set()
        check_exactly_once(ids, alone.delivered)
        check_exactly_once(ids, live.delivered)
        assert not hole.taken
        assert not refusing.taken
    # Three consumers read the topic where one did, on the same cores: twice is generous to noise.
    assert took_crowded_s < 2 * took_alone_s + 2
    assert grown_kb < 40_000


def _time_delivery(
    settings: Settings, directory: Path, name: str, receiver: Receiver, count: int
) -> tuple[float, int]:
    """Return the seconds from the first event to the last, and the memory grown in the last half.

    In the first, buffers fill.
    """
    child = forwarder_process(settings, directory, name)
    child.start()
    try:
        wait_until(lambda: bool(receiver.taken), deadline_s=30, what="the first")
        started = time.monotonic()
        wait_until(lambda: _taken(receiver) >= count // 2, deadline_s=90, what="half of them")
        before_kb = _resident_kb(child.pid)
        wait_until(lambda: _taken(receiver) >= count, deadline_s=90, what="all delivered")
        took_s = time.monotonic() - started
        return took_s, _resident_kb(child.pid) - before_kb
    finally:
        child.stop(8)


def _taken(receiver: Receiver) -> int:
    return sum(len(request.events) for request in list(receiver.taken))


def _resident_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def test_killed_between_delivery_and_commit_repeats_and_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=50)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 4000)
        for number in range(3):
            child = forwarder_process(settings, tmp_path, f"killed{number}")
            child.start()
            goal = len(receiver.delivered) + 600
            if number % 2:  # after the destination took it, before it could say so
                receiver.behaviour = _kill_after(600 // 50, child.kill)
            wait_until(
                lambda goal=goal, child=child: len(receiver.delivered) >= goal or not child.running,
                deadline_s=40,
                what="some delivered",
            )
            child.kill()
            receiver.behaviour = lambda _: Reply()
            assert sum(committed(settings, "soc").values()) <= len(receiver.delivered)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 4000, deadline_s=60, what="all delivered")
        repeats = check_nothing_lost(ids, receiver.delivered)
        assert repeats > 0, "no kill fell between a delivery and its commit"
        for number in range(0, 50, 7):
            assert receiver.order(f"account-{number}") == list(range(number, 4000, 50))


def _kill_after(requests: int, kill: Callable[[], None]) -> Behaviour:
    left = iter(range(requests))

    def behave(_request: Request) -> Reply:
        return Reply() if next(left, None) is not None else Reply(before=kill)

    return behave


def test_an_unwritable_dead_letter_topic_blocks_and_drops_nothing(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, blocked=webhook(receiver, topic="raw")
        )
        letters_topic = settings.kafka.topics.forwarder_dead_letters
        admin = new_admin(settings.kafka)
        admin.delete_topics([letters_topic])[letters_topic].result(15)
        raw = settings.kafka.topics.events
        before = publish(settings, raw, 1, first=0)
        wait_until(
            lambda: letters_topic not in admin.list_topics(timeout=5).topics,
            deadline_s=15,
            what="the topic's end",
        )
        publish_values(settings, raw, [(b"account-0", b"garbage")])
        after = publish(settings, raw, 1, first=50)
        with forwarding(settings):
            wait_until(
                lambda: (
                    _metric("audit_sink_alarm", sink="blocked", code="dead_letter_unwritten") == 1
                ),
                deadline_s=40,
                what="the alarm",
            )
            assert not set(after) & receiver.delivered.keys()
            assert sum(committed(settings, "blocked").values()) <= 1
            create_topics(admin, specs_for(settings.kafka))
            wait_until(
                lambda: set(before + after) <= receiver.delivered.keys(),
                deadline_s=60,
                what="all delivered",
            )
            letters = dead_letters(settings, 1)
        assert {letter.value for letter in letters} == {b"garbage"}
        check_nothing_lost(before + after, receiver.delivered)


def test_events_deleted_before_delivery_stop_that_destination_only(
    kafka: Kafka, unique_prefix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with receiving() as receiver, receiving() as other:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, late=webhook(receiver), other=webhook(other)
        )
        enriched = settings.kafka.topics.enriched
        publish(settings, enriched, 200)
        with forwarding(settings):
            wait_until(
                lambda: len(receiver.delivered) == len(other.delivered) == 200,
                deadline_s=30,
                what="all delivered",
            )
        publish(settings, enriched, 200)
        _delete_to_end(settings, enriched)
        _commit_to_end(settings, "other", enriched)  # this one had got them in time
        fresh = publish(settings, enriched, 100)
        with forwarding(settings):
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="late", code="offset_lost") == 1,
                deadline_s=30,
                what="the alarm",
            )
            wait_until(
                lambda: set(fresh) <= other.delivered.keys(), deadline_s=30, what="the other"
            )
        assert len(receiver.delivered) == 200  # no silent jump
        assert "--reset-offsets --to-earliest" in capfd.readouterr().out


def test_events_deleted_while_the_destination_is_down_stop_it(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, down=webhook(receiver, retry_base_s=0.4)
        )
        receiver.behaviour = lambda _: Reply(500)
        publish(settings, settings.kafka.topics.enriched, 200)
        with forwarding(settings):
            wait_until(lambda: len(receiver.requests) > 6, deadline_s=30, what="tries")
            _delete_to_end(settings, settings.kafka.topics.enriched)
            wait_until(
                lambda: _metric("audit_sink_alarm", sink="down", code="offset_lost") == 1,
                deadline_s=30,
                what="the alarm",
            )
        assert sum(committed(settings, "down").values()) == 0


def test_a_topic_made_anew_is_read_from_its_start(kafka: Kafka, unique_prefix: str) -> None:
    """Its offsets begin again: going on at the old ones would pass over new events."""
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        enriched = settings.kafka.topics.enriched
        admin = new_admin(settings.kafka)
        ids = publish(settings, enriched, 400)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 400, deadline_s=30, what="the old ones")
            admin.delete_topics([enriched])[enriched].result(15)
            wait_until(
                lambda: enriched not in admin.list_topics(timeout=5).topics,
                deadline_s=15,
                what="the topic's end",
            )
            create_topics(admin, specs_for(settings.kafka))
            ids += publish(settings, enriched, 1200)
            wait_until(
                lambda: len(receiver.delivered) == 1600, deadline_s=60, what="all of the new ones"
            )
            wait_until(
                lambda: sum(committed(settings, "soc").values()) == 1200,
                deadline_s=30,
                what="all committed",
            )
        check_nothing_lost(ids, receiver.delivered)


def test_a_second_forwarder_joins_and_leaves_under_load(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=25)
        )
        receiver.behaviour = lambda _: Reply(before=lambda: time.sleep(0.1))  # a distant receiver
        enriched = settings.kafka.topics.enriched
        ids = publish(settings, enriched, 6000)
        first = forwarder_process(settings, tmp_path, "first")
        second = forwarder_process(settings, tmp_path, "second")
        first.start()
        try:
            wait_until(lambda: len(receiver.delivered) > 500, deadline_s=40, what="some delivered")
            second.start()
            wait_until(
                lambda: _holders(settings, "soc") == 2, deadline_s=30, what="partitions at both"
            )
            assert len(receiver.delivered) < 6000
            wait_until(lambda: len(receiver.delivered) > 3000, deadline_s=60, what="half")
            ids += publish(settings, enriched, 1000, first=6000)
            first.stop(8)
            assert first.exit_code == 0
            wait_until(lambda: len(receiver.delivered) == 7000, deadline_s=60, what="all delivered")
        finally:
            first.kill()
            second.stop(8)
        repeats = check_nothing_lost(ids, receiver.delivered)
        assert repeats <= 400  # what was under way, not what was delivered long ago
        for number in range(0, 50, 7):
            assert receiver.order(f"account-{number}") == list(range(number, 7000, 50))


def test_stopping_waits_for_what_is_under_way_and_commits_it(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver))
        receiver.behaviour = lambda _: Reply(before=lambda: time.sleep(1.5))
        ids = publish(settings, settings.kafka.topics.enriched, 100)
        with forwarding(settings):
            wait_until(lambda: bool(receiver.requests), deadline_s=30, what="a request")
        under_way = len(receiver.delivered)
        assert under_way > 0
        assert sum(committed(settings, "soc").values()) == under_way
        receiver.behaviour = lambda _: Reply()
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 100, deadline_s=30, what="all delivered")
        check_exactly_once(ids, receiver.delivered)


def test_stopping_does_not_wait_for_a_receiver_that_hangs(kafka: Kafka, unique_prefix: str) -> None:
    release = threading.Event()
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, timeout_s=30.0)
        )
        receiver.behaviour = lambda _: Reply(before=lambda: release.wait(30))
        publish(settings, settings.kafka.topics.enriched, 100)
        with forwarding(settings):  # checks the bound
            wait_until(lambda: bool(receiver.requests), deadline_s=30, what="a request")
        assert sum(committed(settings, "soc").values()) == 0
        release.set()


def test_the_broker_killed_and_back_loses_nothing(fresh_kafka: Kafka, unique_prefix: str) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            fresh_kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=20)
        )
        receiver.behaviour = lambda _: Reply(before=lambda: time.sleep(0.02))
        ids = publish(settings, settings.kafka.topics.enriched, 2000)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) > 200, deadline_s=40, what="some")
            fresh_kafka.kill()
            fresh_kafka.start()
            ids += publish(settings, settings.kafka.topics.enriched, 500, first=2000)
            wait_until(lambda: len(receiver.delivered) == 2500, deadline_s=90, what="all delivered")
        check_nothing_lost(ids, receiver.delivered)


def _ends(settings: Settings, topic: str) -> list[TopicPartition]:
    """Where each partition ends."""
    from confluent_kafka import Consumer

    consumer = Consumer(
        {"bootstrap.servers": settings.kafka.bootstrap_servers, "group.id": "bounds"}
    )
    try:
        return [
            TopicPartition(
                topic, n, consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=10)[1]
            )
            for n in consumer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
    finally:
        consumer.close()


def _delete_to_end(settings: Settings, topic: str) -> None:
    """Delete every record, as retention would."""
    admin = new_admin(settings.kafka)
    for future in admin.delete_records(_ends(settings, topic)).values():
        future.result(15)


def _holders(settings: Settings, destination: str) -> int:
    """How many members of a destination's group hold partitions."""
    group = settings.kafka.group(f"forwarder.{destination}")
    admin = new_admin(settings.kafka)
    found = admin.describe_consumer_groups([group])[group].result(10)
    return sum(1 for m in found.members if m.assignment and m.assignment.topic_partitions)


def _commit_to_end(settings: Settings, destination: str, topic: str) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions

    group = settings.kafka.group(f"forwarder.{destination}")
    request = [ConsumerGroupTopicPartitions(group, _ends(settings, topic))]
    admin = new_admin(settings.kafka)
    admin.alter_consumer_group_offsets(request)[group].result(15)


def _metric(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)
