"""HEC in trouble: what is not acknowledged is not delivered, whatever was answered."""

import pytest

from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    destination,
    forwarder_settings,
    forwarding,
    metric,
    publish,
    wait_for_alarm,
    wait_until_committed,
)
from tests.pipeline import wait_until
from tests.receivers.server import Behaviour, Call, Reply, normal
from tests.receivers.splunk import Splunk, splunk


def test_200_that_is_never_acknowledged_is_sent_again_and_not_committed(
    kafka: Kafka, unique_prefix: str
) -> None:
    with splunk() as receiver:
        receiver.holding = True
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            unacked=destination("splunk", receiver.url, ack_timeout_s=1.0),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 400)
        with forwarding(settings):
            wait_until(lambda: receiver.posts > 8, deadline_s=40, what="sent again")
            assert sum(committed(settings, "unacked").values()) == 0
            assert not metric("audit_last_success_timestamp_seconds", sink="unacked")
            receiver.release()
            wait_until_committed(settings, "unacked", 400)
        check_nothing_lost(ids, receiver.delivered)


@pytest.mark.parametrize(
    "refusal",
    [
        Reply(400, b'{"text":"Invalid data channel","code":11}'),
        Reply(404, b"<html>not found</html>"),
        Reply(200, b"<html>sign in</html>"),
        Reply(503, b'{"text":"Server is busy","code":9}'),
        Reply(drop=True),
    ],
    ids=["channel", "404", "html", "503", "reset"],
)
def test_a_poll_that_fails_is_no_acknowledgement(
    kafka: Kafka, unique_prefix: str, refusal: Reply
) -> None:
    with splunk() as receiver:

        def refuse_polls(call: Call) -> Reply | None:
            is_first = not receiver.polls  # by which it is seen that the token has acknowledgement
            return refusal if call.path.endswith("/ack") and not is_first else None

        receiver.behaviour = refuse_polls if refusal.status != 200 else _html_polls(receiver)
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, ack_timeout_s=1.0),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 100)
        with forwarding(settings):
            wait_until(
                lambda: bool(receiver.delivered) and max(receiver.delivered.values()) > 1,
                deadline_s=40,
                what="sent again after the bound",
            )
            assert sum(committed(settings, "soc").values()) == 0
            receiver.behaviour = normal
            wait_until_committed(settings, "soc", 100)
        check_nothing_lost(ids, receiver.delivered)


def _html_polls(receiver: Splunk) -> Behaviour:
    """Answer polls with 200 and a page that is no acknowledgement."""
    answer = receiver._poll

    def poll(call: Call, channel: object) -> Reply:
        own = answer(call, channel)  # type: ignore[arg-type]
        lied = receiver.behaviour is not normal and call.body != b'{"acks":[]}'
        return Reply(200, b"<html>sign in</html>") if lied else own

    receiver._poll = poll  # type: ignore[method-assign,assignment]
    return lambda _call: None


def test_a_token_without_acknowledgement_is_an_alarm_before_anything_is_sent(
    kafka: Kafka, unique_prefix: str
) -> None:
    with splunk(ack=False) as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, ackless=destination("splunk", receiver.url)
        )
        publish(settings, settings.kafka.topics.enriched, 50)
        with forwarding(settings):
            wait_for_alarm("ackless", "ack_disabled")
        assert not receiver.events
        assert sum(committed(settings, "ackless").values()) == 0


def test_an_indexer_that_restarts_loses_its_memory_and_we_nothing(
    kafka: Kafka, unique_prefix: str
) -> None:
    """Its counters begin anew: "true" for an old id then speaks of other events."""
    with splunk() as receiver:
        receiver.holding = True
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, batch_events=20, ack_timeout_s=3.0),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 1000)
        with forwarding(settings):
            for wanted in (10, 1, 1):  # after a restart it may be tried one by one, unacknowledged
                before = receiver.posts
                wait_until(
                    lambda b=before, n=wanted: receiver.posts >= b + n, deadline_s=40, what="posts"
                )
                receiver.restart()
                receiver.holding = False  # the next ones are indexed, and have ids from 0 on
                before = receiver.posts
                wait_until(lambda b=before: receiver.posts > b + 3, deadline_s=40, what="posts")
                receiver.holding = True
                if sum(committed(settings, "soc").values()) == 1000:
                    break
            receiver.release()
            wait_until_committed(settings, "soc", 1000)
        check_nothing_lost(ids, receiver.delivered)
        assert len(receiver.channels) > 1


def test_a_load_balancer_without_stickiness_loses_nothing(kafka: Kafka, unique_prefix: str) -> None:
    with splunk(indexers=3, sticky=False) as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, batch_events=100, ack_timeout_s=2.0),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 500)
        with forwarding(settings):
            wait_until_committed(settings, "soc", 500)
        check_nothing_lost(ids, receiver.delivered)


def test_busy_in_mid_window_is_tried_again(kafka: Kafka, unique_prefix: str) -> None:
    with splunk() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, batch_events=50),
        )
        numbers = iter(range(10_000))
        busy = Reply(503, b'{"text":"Server is busy","code":9}')
        receiver.behaviour = lambda _: busy if next(numbers) % 4 == 3 else None
        ids = publish(settings, settings.kafka.topics.enriched, 1000)
        with forwarding(settings):
            wait_until_committed(settings, "soc", 1000)
        check_exactly_once(ids, receiver.delivered)  # 503 is said before anything is taken


def test_a_stop_waits_for_acknowledgements_and_commits_them(
    kafka: Kafka, unique_prefix: str
) -> None:
    with splunk() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            soc=destination("splunk", receiver.url, ack_poll_s=60.0),
        )
        ids = publish(settings, settings.kafka.topics.enriched, 200)
        with forwarding(settings):
            wait_until(lambda: len(receiver.delivered) == 200, deadline_s=30, what="all indexed")
            assert sum(committed(settings, "soc").values()) == 0  # the first poll is a minute away
        assert sum(committed(settings, "soc").values()) == 200
        check_exactly_once(ids, receiver.delivered)


def test_a_stop_does_not_wait_for_an_acknowledgement_that_does_not_come(
    kafka: Kafka, unique_prefix: str
) -> None:
    with splunk() as receiver:
        receiver.holding = True
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, soc=destination("splunk", receiver.url)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 100)
        with forwarding(settings):  # checks the bound
            wait_until(lambda: receiver.posts > 0, deadline_s=30, what="a request")
        assert sum(committed(settings, "soc").values()) == 0
        receiver.release()
        with forwarding(settings):
            wait_until_committed(settings, "soc", 100)
        check_nothing_lost(ids, receiver.delivered)
