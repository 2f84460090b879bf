"""The frame with destinations other than webhooks: late answers, items, acknowledgement later."""

import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from confluent_kafka import Consumer

from auditbus.runtime.kafka import new_consumer
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.outcomes import Accepted, Delivered, Failed, Outcome, Refusal
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    dead_ids,
    dead_letters,
    forwarder_settings,
    publish,
)
from tests.pipeline import wait_until
from tests.scripted_delivery import delivering


def _ids(events: Sequence[bytes]) -> list[str]:
    return [orjson.loads(event)["id"] for event in events]


@dataclass
class HeldClient:
    """Takes requests and answers each when the test says so."""

    held: list[tuple[list[str], threading.Event]] = field(default_factory=list)

    def deliver(self, parcel: Parcel) -> Outcome:
        answer = threading.Event()
        self.held.append((_ids(parcel.events), answer))
        assert answer.wait(60)
        return Delivered()

    def probe(self) -> Outcome:
        return Delivered()

    def close(self) -> None: ...


def test_a_late_answer_for_a_partition_that_went_and_came_back_settles_nothing(
    kafka: Kafka, unique_prefix: str
) -> None:
    """The old request is answered after the same partition is back at the same consumer."""
    client = HeldClient()
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix)
    publish(settings, settings.kafka.topics.enriched, 40)
    with delivering(settings, client, ordered=True, in_flight=16) as delivery:
        wait_until(lambda: len(client.held) == 4, deadline_s=30, what="one request a partition")
        before = dict(delivery._partitions.lanes)
        other = new_consumer(settings.kafka, "forwarder.scripted")
        other.subscribe([settings.kafka.topics.enriched])
        wait_until(lambda: _poll(other) == 2, deadline_s=30, what="half of the partitions")
        moved = {p.partition for p in other.assignment()}
        assert moved == before.keys() - delivery._partitions.lanes.keys()
        other.close()
        wait_until(lambda: len(client.held) == 6, deadline_s=30, what="both sent again")
        repeated = [ids for ids, _ in client.held[4:]]
        late = [answer for ids, answer in client.held[:4] if ids in repeated]
        assert len(late) == 2
        for answer in late:
            answer.set()
        wait_until(
            lambda: delivery._in_flight.requests == 4, deadline_s=30, what="late answers taken in"
        )
        assert all(delivery._partitions.lanes[p] is not before[p] for p in moved)
        assert [delivery._partitions.lanes[p].watermark.position for p in sorted(moved)] == [0, 0]
        for _, answer in client.held:
            answer.set()
        wait_until(
            lambda: _release_all(client) and sum(committed(settings, "scripted").values()) == 40,
            deadline_s=30,
            what="all committed",
        )


def _poll(consumer: Consumer) -> int:
    consumer.poll(0.05)
    return len(consumer.assignment())


def _release_all(client: HeldClient) -> bool:
    for _, answer in list(client.held):
        answer.set()
    return True


@dataclass
class CapriciousClient:
    """An indexed store: items fail, are refused or acknowledged late, whole requests fail."""

    rng: random.Random
    refusable: set[str]
    delivered: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def deliver(self, parcel: Parcel) -> Outcome:
        with self.lock:
            fate = self.rng.random()
            if fate < 0.1:
                return Failed("flaky", "flaky")
            refused, again = {}, set()
            ids = _ids(parcel.events)
            for index, name in enumerate(ids):
                if name in self.refusable:
                    refused[index] = Refusal("mapping", "this one never")
                elif self.rng.random() < 0.1:
                    again.add(index)
            if refused or again or fate < 0.5:
                self.delivered.update(
                    name for n, name in enumerate(ids) if n not in again and n not in refused
                )
                return Delivered(refused, again)
            return Accepted(lambda: self._confirm(ids, self.rng.randint(0, 2)), 0.02)

    def _confirm(self, ids: list[str], polls: int) -> Outcome:
        with self.lock:
            if polls:
                return Accepted(lambda: self._confirm(ids, polls - 1), 0.02)
            if self.rng.random() < 0.2:
                return Failed("never_acknowledged", "forgotten by the indexer")
            self.delivered.update(ids)
            return Delivered()

    def probe(self) -> Outcome:
        return Delivered()

    def close(self) -> None: ...


def test_items_fail_alone_and_acknowledgements_come_late(kafka: Kafka, unique_prefix: str) -> None:
    """Per-item outcomes, dead letters, late acknowledgement, several requests a partition."""
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix)
    ids = publish(settings, settings.kafka.topics.enriched, 2000)
    client = CapriciousClient(random.Random(7), set(ids[::100]))
    with delivering(settings, client, ordered=False, in_flight=8):
        wait_until(lambda: len(client.delivered) == 1980, deadline_s=60, what="all but the refused")
        letters = dead_letters(settings, 20)
        wait_until(
            lambda: sum(committed(settings, "scripted").values()) == 2000,
            deadline_s=30,
            what="all committed",
        )
    assert {letter.code for letter in letters} == {"mapping"}
    # Only what failed is sent again: nothing that was acknowledged came twice.
    check_exactly_once(ids, client.delivered, dead_ids(letters))
