"""The broker of local mode: what it keeps over stops and kills, and what its cache saves."""

import time

from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from tests.backends.parts import Kafka


def _create(kafka: Kafka, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    created = admin.create_topics(
        [NewTopic(topic, 2, config={"message.timestamp.type": "LogAppendTime"})]
    )
    created[topic].result(timeout=10)


def _produce(kafka: Kafka, topic: str, values: list[bytes]) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "acks": "all"})
    for value in values:
        producer.produce(topic, value)
    assert producer.flush(10) == 0


def _read(kafka: Kafka, topic: str, count: int) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": "reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 20
    try:
        while len(values) < count and time.monotonic() < deadline:
            for message in consumer.consume(count, timeout=0.5):
                assert message.error() is None
                values.append(message.value() or b"")
    finally:
        consumer.close()
    return sorted(values)


def test_acknowledged_records_survive_kill_and_stop_at_the_same_address(fresh_kafka: Kafka) -> None:
    address = fresh_kafka.bootstrap_servers
    _create(fresh_kafka, "kept")
    first = [b"a%04d" % n for n in range(1000)]
    _produce(fresh_kafka, "kept", first)
    fresh_kafka.kill()
    fresh_kafka.start()
    second = [b"b%04d" % n for n in range(1000)]
    _produce(fresh_kafka, "kept", second)
    fresh_kafka.stop()
    fresh_kafka.start()
    assert fresh_kafka.bootstrap_servers == address
    assert _read(fresh_kafka, "kept", 2000) == first + second


def test_a_misspelt_topic_is_not_created(kafka: Kafka, unique_prefix: str) -> None:
    topic = f"{unique_prefix}misspelt"
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "message.timeout.ms": 1000})
    undelivered: list[bool] = []
    producer.produce(
        topic, b"x", on_delivery=lambda error, _: undelivered.append(error is not None)
    )
    producer.flush(10)
    assert undelivered == [True]
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    assert topic not in admin.list_topics(timeout=10).topics
