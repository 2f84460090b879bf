"""The console's own events: what is done to the log is in the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from auditbus.producers import AuditProducer
from auditbus.runtime.errors import TopicMisconfigured
from auditbus.runtime.kafka import client_config, new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import describe_topics
from auditbus.schemas.catalogue import Catalogue

__all__ = ["OWN_ACCOUNT", "own_producer"]

OWN_ACCOUNT = "auditbus"
"""The account of the console's own events."""
_DELIVERY_TIMEOUT_S = 30.0
_PLAIN = (str, int, float, bool)


@contextmanager
def own_producer(settings: Settings, client_id: str) -> Iterator[AuditProducer]:
    """Yield a producer whose events belong to OWN_ACCOUNT where they name no other.

    Asks for the topic first: a client alone would wait for a broker that is not there. Raises
    KafkaUnreachable, and TopicMisconfigured where there is no such topic.
    """
    topic = settings.kafka.topics.events
    if topic not in describe_topics(new_admin(settings.kafka), [topic]):
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")
    options = client_config(settings.kafka)
    servers = str(options.pop("bootstrap.servers"))
    with AuditProducer(
        servers,
        topic=topic,
        operator_account=OWN_ACCOUNT,
        catalogue=Catalogue.load(settings.catalogue),
        client_id=client_id,
        service="auditbus",
        delivery_timeout_s=_DELIVERY_TIMEOUT_S,
        options={name: value for name, value in options.items() if isinstance(value, _PLAIN)},
    ) as producer:
        yield producer
