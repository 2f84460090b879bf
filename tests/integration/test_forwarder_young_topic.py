"""A topic that Kafka does not quite know yet must not end a destination for ever."""

import pytest
from confluent_kafka import Consumer, TopicPartition
from prometheus_client import REGISTRY

from auditbus.sinks.siem.partitions import Partitions
from tests.backends.parts import Kafka
from tests.forwarding import check_exactly_once, forwarder_settings, forwarding, publish, webhook
from tests.pipeline import wait_until
from tests.webhook_receiver import receiving


def test_offsets_that_cannot_be_asked_at_the_assignment_are_asked_again(
    kafka: Kafka, unique_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's error in the callback had come out of the poll as what no `except` catches."""
    real = Partitions._start
    faults = iter([77, 78])  # no such partitions

    def start(self: Partitions, consumer: Consumer, committed: TopicPartition) -> int:
        if (missing := next(faults, None)) is not None:
            consumer.get_watermark_offsets(TopicPartition(committed.topic, missing), timeout=5)
        return real(self, consumer, committed)

    monkeypatch.setattr(Partitions, "_start", start)
    with receiving() as receiver:
        settings = forwarder_settings(
            kafka.bootstrap_servers, unique_prefix, young=webhook(receiver)
        )
        ids = publish(settings, settings.kafka.topics.enriched, 50)
        labels = {"sink": "young", "code": "kafka"}
        with forwarding(settings):
            wait_until(
                lambda: REGISTRY.get_sample_value("audit_sink_alarm", labels) == 1,
                deadline_s=20,
                what="the alarm",
            )
            wait_until(lambda: len(receiver.delivered) == 50, deadline_s=30, what="all delivered")
        assert REGISTRY.get_sample_value("audit_sink_alarm", labels) == 0
        check_exactly_once(ids, receiver.delivered)
