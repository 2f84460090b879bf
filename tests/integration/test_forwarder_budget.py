"""What a destination may hold is bounded, whatever waits for it, and the bound stops nothing."""

import secrets
import threading
from collections import Counter
from dataclasses import dataclass, field

import orjson

from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.delivery import Delivery
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.outcomes import Delivered, Failed, Outcome
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    forwarder_settings,
    publish,
    publish_values,
)
from tests.pipeline import event, wait_until
from tests.scripted_delivery import delivering

_PART = 256 * 1024
_ONE_READ = 500 * 1_200  # events at a time, and about what each costs
_COPIES = 3


@dataclass
class _Gate:
    """Holds every request until the gate is open, and then fails one in five."""

    opened: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    delivered: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def deliver(self, parcel: Parcel) -> Outcome:
        assert self.opened.wait(60)
        with self.lock:
            self.requests += 1
            if self.requests % 5 == 0:
                return Failed("flaky", "flaky")
            self.delivered.update(orjson.loads(item)["id"] for item in parcel.events)
            return Delivered()

    def probe(self) -> Outcome:
        return Delivered()

    def close(self) -> None: ...


def _held_bytes(delivery: Delivery) -> int:
    lanes = list(delivery._partitions.lanes.values())
    return delivery._in_flight.held_bytes + sum(lane.held_bytes for lane in lanes)


def test_a_destination_that_hangs_holds_its_part_and_no_more(
    kafka: Kafka, unique_prefix: str
) -> None:
    """Two full batches a partition had been read for each, whatever they were together."""
    client = _Gate()
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix)
    ids = publish(settings, settings.kafka.topics.enriched, 6000)
    budget = Budget(20 * _PART)
    budget.divide(20)
    assert budget.part_bytes == _PART
    with delivering(settings, client, ordered=False, batch_events=1000, budget=budget) as delivery:
        wait_until(
            lambda: hasattr(delivery, "_partitions") and _held_bytes(delivery) > _PART,
            deadline_s=30,
            what="its part is full",
        )
        held = []
        # Long enough for the pause, as Kafka must be polled, and for reads after it.
        wait_until(
            lambda: held.append(_held_bytes(delivery)) or len(held) > 40,  # type: ignore[func-returns-value]
            deadline_s=30,
            what="forty looks",
        )
        assert max(held) < _PART + _COPIES * _ONE_READ, max(held)
        assert all(lane.paused for lane in delivery._partitions.lanes.values())
        client.opened.set()
        wait_until(
            lambda: sum(committed(settings, "scripted").values()) == 6000,
            deadline_s=60,
            what="all committed",
        )
        assert _held_bytes(delivery) == 0
    check_exactly_once(ids, client.delivered)


def test_an_event_larger_than_the_part_is_delivered(kafka: Kafka, unique_prefix: str) -> None:
    client = _Gate()
    client.opened.set()
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix)
    events = [
        # Random, so that it is larger than a fetch as it travels, too.
        event(number, metadata={"text": secrets.token_hex(400_000 if number % 7 == 0 else 10)})
        for number in range(30)
    ]
    records = [(item["account"]["id"].encode(), orjson.dumps(item)) for item in events]
    publish_values(settings, settings.kafka.topics.enriched, records)
    with delivering(settings, client, ordered=True, budget=Budget(64 * 1024)):
        wait_until(
            lambda: sum(committed(settings, "scripted").values()) == 30,
            deadline_s=60,
            what="all committed",
        )
    check_exactly_once([item["id"] for item in events], client.delivered)
