"""A webhook receiver that refuses, hangs, resets or is gone: nothing is lost, order is kept."""

import threading
import time

import pytest

from auditbus.runtime.kafka import new_admin
from auditbus.runtime.topic_admin import create_topics, specs_for
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    dead_letters,
    forwarder_settings,
    forwarding,
    metric,
    publish,
    publish_values,
    wait_for_alarm,
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
            wait_for_alarm("expired", "http_401")
            ids += publish(settings, settings.kafka.topics.enriched, 300)
            wait_until(lambda: len(receiver.requests) > 8, deadline_s=30, what="more tries")
            assert metric("audit_circuit_state", sink="expired") in {1, 2}
            assert sum(committed(settings, "expired").values()) == 0
            receiver.behaviour = lambda _: Reply()
            wait_until(lambda: len(receiver.delivered) == 600, deadline_s=30, what="all delivered")
            wait_until(
                lambda: metric("audit_sink_alarm", sink="expired", code="http_401") == 0,
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
            wait_for_alarm("gone", "http_410")
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
            wait_for_alarm("blocked", "dead_letter_unwritten")
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
