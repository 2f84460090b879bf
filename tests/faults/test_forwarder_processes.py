"""Forwarders in processes of their own: killed, two at a time, beside dead destinations."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    forwarder_process,
    forwarder_settings,
    forwarding,
    publish,
    webhook,
)
from tests.pipeline import wait_until
from tests.webhook_receiver import Behaviour, Receiver, Reply, Request, receiving


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


def test_a_partition_that_leaves_while_it_is_paused_and_comes_back_goes_on(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    """The client keeps a pause over a rebalance: such a partition once stood still for ever."""
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=webhook(receiver, batch_events=20)
        )
        receiver.behaviour = lambda _: Reply(503, {"Retry-After": "3"})  # paused until then
        ids = publish(settings, settings.kafka.topics.enriched, 600)
        with forwarding(settings):
            wait_until(lambda: bool(receiver.requests), deadline_s=30, what="it was refused")
            other = forwarder_process(settings, tmp_path)
            other.start()
            try:
                wait_until(lambda: _holders(settings, "soc") == 2, deadline_s=40, what="they share")
            finally:
                other.kill()
            # It delivers before the other's session has expired, and wants no pause after that.
            receiver.behaviour = lambda _: Reply()
            wait_until(lambda: len(receiver.delivered) == 600, deadline_s=90, what="all delivered")
        check_nothing_lost(ids, receiver.delivered)


def _holders(settings: Settings, destination: str) -> int:
    """How many members of a destination's group hold partitions."""
    group = settings.kafka.group(f"forwarder.{destination}")
    admin = new_admin(settings.kafka)
    found = admin.describe_consumer_groups([group])[group].result(10)
    return sum(1 for m in found.members if m.assignment and m.assignment.topic_partitions)
