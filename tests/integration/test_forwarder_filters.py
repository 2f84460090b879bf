"""Filter and redaction on real Kafka: what is not for a destination is settled, and never sent."""

from collections import Counter
from typing import Any

import orjson
import pytest
from prometheus_client import REGISTRY

from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    dead_letters,
    forwarder_settings,
    forwarding,
    publish_values,
    webhook,
)
from tests.pipeline import event, wait_until
from tests.webhook_receiver import Reply, receiving

_KEY = "a key that is long enough"


def _records(events: list[dict[str, Any]]) -> list[tuple[bytes | None, bytes | None]]:
    return [(made["account"]["id"].encode(), orjson.dumps(made)) for made in events]


def _rows(sink: str, outcome: str) -> float:
    labels = {"sink": sink, "outcome": outcome}
    return REGISTRY.get_sample_value("audit_sink_rows_total", labels) or 0.0


def test_the_commit_moves_past_what_a_filter_leaves_out(
    kafka: Kafka, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One gets every third event, one none at all; both come to the end of the topic."""
    monkeypatch.setenv("REDACTION_KEY", _KEY)
    with receiving() as receiver, receiving() as idle:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            filtered=webhook(
                receiver,
                filter={"actions": ["BackupDeleted"], "exclude_accounts": ["account-7"]},
                redact={"emails": "hash", "ip_addresses": "drop", "key_env": "REDACTION_KEY"},
            ),
            idle=webhook(idle, filter={"accounts": ["nobody"]}),
        )
        topic = settings.kafka.topics.enriched
        events = [
            event(number, action="BackupDeleted" if number % 3 == 0 else "Login")
            for number in range(600)
        ]
        wanted = [
            made["id"]
            for made in events
            if made["action"] == "BackupDeleted" and made["account"]["id"] != "account-7"
        ]
        odd = [event(0, id=f"odd-{n}", action=action) for n, action in enumerate([7, None, ["x"]])]
        publish_values(settings, topic, _records([*events, *odd]))
        before = Counter({name: _rows(name, "filtered") for name in ("filtered", "idle")})
        with forwarding(settings):
            for name in ("filtered", "idle"):
                wait_until(
                    lambda name=name: sum(committed(settings, name).values()) == 603,
                    deadline_s=40,
                    what=f"{name} at the end",
                )
        check_exactly_once(wanted, receiver.delivered)
        assert not idle.requests
        assert _rows("filtered", "filtered") - before["filtered"] == 603 - len(wanted)
        assert _rows("idle", "filtered") - before["idle"] == 603
        shown = {e["actor"]["email"] for r in receiver.taken for e in r.events}
        assert len(shown) == 1
        assert shown.pop().startswith("email_")
        for body in receiver.bodies:
            assert b"example.org" not in body
            assert b"81.2.69.142" not in body
        assert all("ip" not in e["context"] for r in receiver.taken for e in r.events)


def test_what_cannot_be_judged_on_the_raw_topic_is_a_dead_letter_and_not_sent(
    kafka: Kafka, unique_prefix: str
) -> None:
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            raw=webhook(receiver, topic="raw", filter={"accounts": ["acme"]}),
        )
        good = event(1, account={"id": "acme"})
        twice = b'{"id":"twice","account":{"id":"secret"},"account":{"id":"acme"}}'
        broken: list[bytes | None] = [twice, b"{nonsense", b"[]", b"", None]
        publish_values(
            settings,
            settings.kafka.topics.events,
            [
                *_records([event(2, account={"id": "other"}), good]),
                *((b"acme", value) for value in broken),
                (b"acme", b'{"id":"none"}'),
            ],
        )
        with forwarding(settings):
            letters = dead_letters(settings, len(broken))
            wait_until(
                lambda: sum(committed(settings, "raw").values()) == 8,
                deadline_s=40,
                what="all settled",
            )
        check_exactly_once([good["id"]], receiver.delivered)
        assert Counter(letter.value for letter in letters) == Counter(broken)
        assert Counter(letter.code for letter in letters) == Counter(
            ["repeated_key", "malformed_json", "not_an_object", "empty", "tombstone"]
        )


def test_a_filtered_destination_that_is_down_stays_down_until_it_answers(
    kafka: Kafka, unique_prefix: str
) -> None:
    """Batches with nothing in them are no success: the alarm stands, nothing is lost."""
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers,
            unique_prefix,
            down=webhook(receiver, batch_events=5, filter={"actions": ["BackupDeleted"]}),
        )
        receiver.behaviour = lambda _: Reply(401)
        topic = settings.kafka.topics.enriched
        events = [event(n, action="BackupDeleted" if n % 20 == 0 else "Login") for n in range(1000)]
        publish_values(settings, topic, _records(events))
        alarm = {"sink": "down", "code": "http_401"}
        with forwarding(settings):
            wait_until(lambda: len(receiver.requests) > 8, deadline_s=40, what="several tries")
            assert REGISTRY.get_sample_value("audit_sink_alarm", alarm) == 1
            receiver.behaviour = lambda _: Reply()
            wait_until(
                lambda: sum(committed(settings, "down").values()) == 1000,
                deadline_s=40,
                what="all settled",
            )
            assert REGISTRY.get_sample_value("audit_sink_alarm", alarm) == 0
        wanted = [made["id"] for made in events if made["action"] == "BackupDeleted"]
        check_exactly_once(wanted, receiver.delivered)
