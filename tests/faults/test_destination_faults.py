"""Splunk, Elasticsearch and OTLP in trouble: nothing is lost, nothing false is believed."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    dead_ids,
    dead_letters,
    destination,
    forwarder_process,
    forwarder_settings,
    forwarding,
    metric,
    publish,
    wait_for_alarm,
    wait_until_committed,
)
from tests.pipeline import wait_until
from tests.receivers.elasticsearch import elasticsearch
from tests.receivers.otlp import otlp
from tests.receivers.server import Behaviour, Call, Reply, normal
from tests.receivers.splunk import splunk

_RECEIVERS = {"splunk": splunk, "elasticsearch": elasticsearch, "otlp": otlp}


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("kind", _RECEIVERS)
def test_refused_credentials_pause_and_alarm_and_lose_nothing(
    kafka: Kafka, unique_prefix: str, kind: str, status: int
) -> None:
    name = f"{kind}{status}"
    with _RECEIVERS[kind]() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, **{name: destination(kind, receiver.url)}
        )
        tries: list[float] = []

        def refuse(_call: Call) -> Reply:
            tries.append(time.monotonic())
            return Reply(status, b'{"text":"Invalid token","code":4}')

        receiver.behaviour = refuse
        ids = publish(settings, settings.kafka.topics.enriched, 300)
        with forwarding(settings):
            wait_for_alarm(name, f"http_{status}")
            wait_until(lambda: len(tries) > 8, deadline_s=30, what="more tries")
            assert sum(committed(settings, name).values()) == 0
            receiver.behaviour = normal
            wait_until_committed(settings, name, 300)
        check_exactly_once(ids, receiver.delivered)
        assert not dead_letters(settings, 1, deadline_s=1)
        assert metric("audit_sink_alarm", sink=name, code=f"http_{status}") == 0


@pytest.mark.parametrize("kind", _RECEIVERS)
def test_killed_at_any_point_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, kind: str
) -> None:
    """Killed before a request, with one taken and not answered, and answered but not committed."""
    with _RECEIVERS[kind]() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination(kind, receiver.url, batch_events=50),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 4000)
        for number in range(4):
            child = forwarder_process(settings, tmp_path, f"killed{number}")
            goal = min(len(receiver.delivered) + 500, 3900)
            child.start()
            if number % 2:
                receiver.behaviour = _kill_after(10, child.kill)
            wait_until(
                lambda goal=goal, child=child: len(receiver.delivered) >= goal or not child.running,
                deadline_s=40,
                what="some delivered",
            )
            child.kill()
            receiver.behaviour = normal
            assert sum(committed(settings, "soc").values()) <= len(receiver.delivered)
        with forwarding(settings):
            wait_until_committed(settings, "soc", 4000)
        check_nothing_lost(ids, receiver.delivered)
        assert not dead_letters(settings, 1, deadline_s=1)


def _kill_after(calls: int, kill: Callable[[], None]) -> Behaviour:
    """Take the body of one request, and kill the forwarder before it has the answer."""
    left = iter(range(calls))

    def behave(_call: Call) -> Reply | None:
        return None if next(left, None) is not None else Reply(before=kill)

    return behave


def test_the_commit_does_not_pass_an_item_that_is_never_taken(
    kafka: Kafka, unique_prefix: str
) -> None:
    """FAULTS 1: what follows it is stored, and read again after a restart, but it is not lost."""
    with elasticsearch() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("elasticsearch", receiver.url, batch_events=50),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 1000)
        stuck = ids[0]
        receiver.status_of = lambda name, _: 429 if name == stuck else None
        with forwarding(settings):
            wait_until(lambda: len(receiver.documents) == 999, deadline_s=30, what="the others")
            wait_until(lambda: receiver.sent[stuck] > 3, deadline_s=30, what="tries")
            time_of_others = sum(committed(settings, "soc").values())
        assert time_of_others < 1000
        offsets = committed(settings, "soc")
        assert 0 in offsets.values() or len(offsets) < 4  # its partition has not moved
        receiver.status_of = lambda _name, _document: None
        with forwarding(settings):
            wait_until_committed(settings, "soc", 1000)
        check_exactly_once(ids, receiver.delivered)


def test_refused_items_that_cannot_be_buried_block_and_are_not_dropped(
    kafka: Kafka, unique_prefix: str
) -> None:
    """FAULTS 21, where the destination refuses the event."""
    with elasticsearch() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            buried=destination("elasticsearch", receiver.url),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 200)
        receiver.status_of = lambda name, _: 400 if name == ids[0] else None
        letters_topic = settings.kafka.topics.forwarder_dead_letters
        admin = new_admin(settings.kafka)
        admin.delete_topics([letters_topic])[letters_topic].result(15)
        wait_until(
            lambda: letters_topic not in admin.list_topics(timeout=5).topics,
            deadline_s=15,
            what="the topic's end",
        )
        with forwarding(settings):
            wait_for_alarm("buried", "dead_letter_unwritten")
            assert sum(committed(settings, "buried").values()) < 200
            create_topics(admin, specs_for(settings.kafka))
            wait_until_committed(settings, "buried", 200)
            letters = dead_letters(settings, 1)
        check_exactly_once(ids, receiver.delivered, dead_ids(letters))


def test_one_black_hole_and_one_that_never_acknowledges_leave_the_third_alone(
    kafka: Kafka, unique_prefix: str
) -> None:
    release = threading.Event()
    with splunk() as unacked, otlp() as hole, elasticsearch() as live:
        unacked.holding = True
        hole.behaviour = lambda _: Reply(503, before=lambda: release.wait(60))
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            unacked=destination("splunk", unacked.url),
            hole=destination("otlp", hole.url, timeout_s=20.0),
            live=destination("elasticsearch", live.url),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 5000)
        with forwarding(settings):
            wait_until(
                lambda: sum(committed(settings, "live").values()) == 5000,
                deadline_s=30,
                what="all of the live one",
            )
            assert sum(committed(settings, "unacked").values()) == 0
            assert sum(committed(settings, "hole").values()) == 0
            release.set()
        check_exactly_once(ids, live.delivered)
