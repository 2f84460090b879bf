"""The console's and the commands' producer, as the settings say; built in this place alone."""

from __future__ import annotations

from typing import Any

from auditbus.producers import AuditProducer
from auditbus.runtime.errors import TopicMisconfigured
from auditbus.runtime.kafka import client_config, new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import describe_topics

__all__ = ["check_topic", "producer_of"]

# The SDK reports errors and logs in its own way: the callbacks among the options are not for it.
_PLAIN = str | int | float | bool


def producer_of(settings: Settings, client_id: str, /, **more: Any) -> AuditProducer:
    """Return a producer of raw events; close it at the end. `more` is AuditProducer's.

    Raises SettingsError for Kafka settings that can't be used.
    """
    options = client_config(settings.kafka)
    servers = str(options.pop("bootstrap.servers"))
    return AuditProducer(
        servers,
        topic=settings.kafka.topics.events,
        client_id=client_id,
        options={name: value for name, value in options.items() if isinstance(value, _PLAIN)},
        **{"operator_account": settings.operator_account, **more},
    )


def check_topic(settings: Settings) -> None:
    """Ask for the topic first: a client alone would wait for a broker or topic that is not there.

    Raises KafkaUnreachable, and TopicMisconfigured where there is no such topic.
    """
    topic = settings.kafka.topics.events
    if topic not in describe_topics(new_admin(settings.kafka), [topic]):
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")
