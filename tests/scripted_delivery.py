"""One delivery in a thread, to a client that the test wrote."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_watch import topic_id_of
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.delivery import Delivery
from auditbus.sinks.siem.destination import (
    Client,
    Destination,
    DestinationKind,
    DestinationSettings,
)
from auditbus.sinks.siem.standing import Standing


@contextmanager
def delivering(
    settings: Settings,
    client: Client,
    *,
    ordered: bool,
    in_flight: int = 4,
    batch_events: int = 20,
    budget: Budget | None = None,
) -> Iterator[Delivery]:
    """Deliver the enriched topic through `client`; checks that nothing was raised."""
    options = DestinationSettings(
        type="scripted",
        batch_events=batch_events,
        linger_ms=10,
        requests_in_flight=in_flight,
        retry_base_s=0.05,
        retry_cap_s=0.2,
    )
    kind = DestinationKind(DestinationSettings, lambda _: client, ordered)
    letters = DeadLetterWriter(
        new_producer(settings.kafka), settings.kafka.topics.forwarder_dead_letters
    )
    delivery = Delivery(
        Destination("scripted", kind, options),
        settings.kafka,
        letters,
        Standing("scripted"),
        partial(topic_id_of, new_admin(settings.kafka)),
        budget=budget,
    )
    stop = threading.Event()
    failures: list[BaseException] = []

    def run() -> None:
        try:
            delivery.run(stop)
        except BaseException as error:
            failures.append(error)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield delivery
    finally:
        stop.set()
        thread.join(10)
        assert not failures, failures
    assert not thread.is_alive()
