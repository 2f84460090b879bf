"""The stream stage as a plain confluent-kafka loop: what bench/stream.py compares the worker with.

The same enrichment, producer settings and promise (publish, be sure, commit), without a framework.
Ends when it is told to (SIGTERM). With the word `tuned` it also tunes garbage collection as the
worker does, so that what the worker's own ways cost can be told from what the collector costs.
"""

import sys

from confluent_kafka import Message

from auditbus.runtime.dead_letters import DeadLetter, Origin
from auditbus.runtime.kafka import new_consumer, new_producer
from auditbus.runtime.settings import load_settings
from auditbus.runtime.shutdown import stop_on_signals
from auditbus.schemas import Catalogue, InvalidEvent
from auditbus.streams.enrichment import DeviceLookup, LocationLookup, default_city_path
from auditbus.streams.enrichment.splice import Enricher
from auditbus.streams.publisher import Publisher
from auditbus.streams.worker import collect_garbage_rarely

_CONSUME_RECORDS = 1_000
_FLUSH_EVENTS = 10_000
_FLUSH_TIMEOUT_S = 60.0


def main() -> None:
    settings = load_settings()
    topics = settings.kafka.topics
    enricher = Enricher(
        Catalogue.builtin(),
        LocationLookup(default_city_path()),
        DeviceLookup(),
        operator_account=settings.operator_account,
    )
    publisher = Publisher(
        new_producer(settings.kafka, {"delivery.report.only.error": True}), topics
    )
    consumer = new_consumer(settings.kafka, "stream")
    consumer.subscribe([topics.events])
    if "tuned" in sys.argv:
        collect_garbage_rarely()
    stop = stop_on_signals()
    pending = 0
    while not stop.is_set():
        messages = consumer.consume(_CONSUME_RECORDS, timeout=0.05)
        for message in messages:
            _handle(enricher, publisher, message)
        pending += len(messages)
        if pending and (pending >= _FLUSH_EVENTS or not messages):
            publisher.flush(_FLUSH_TIMEOUT_S)
            consumer.commit(asynchronous=False)
            pending = 0
    consumer.close()


def _handle(enricher: Enricher, publisher: Publisher, message: Message) -> None:
    topic, partition, offset = message.topic() or "", message.partition(), message.offset()
    timestamp_ms = message.timestamp()[1]
    try:
        key, value, is_signal = enricher.enrich(
            message.value(), topic, partition or 0, offset or 0, timestamp_ms
        )
    except InvalidEvent as error:
        origin = Origin(topic, partition or 0, offset or 0, timestamp_ms)
        letter = DeadLetter(
            message.value(), message.key(), (), error.code, str(error), "plain", origin
        )
        publisher.dead_letter(letter)
    else:
        publisher.publish(key, value, (), is_signal=is_signal)


if __name__ == "__main__":
    main()
