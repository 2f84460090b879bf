"""The producer SDK against a real broker: delivery, partitions, order, outages."""

import random
import threading
import time
from collections import defaultdict

import orjson
import pytest
from confluent_kafka import Consumer, Message, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from auditbus.producers import AuditProducer, Delivery, DeliveryFailed
from tests.backends.parts import Kafka

_PARTITIONS = 12


def _create(kafka: Kafka, topic: str, **config: str) -> str:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap_servers})
    dotted = {name.replace("_", "."): value for name, value in config.items()}
    admin.create_topics([NewTopic(topic, _PARTITIONS, config=dotted)])[topic].result(timeout=10)
    return topic


def _read(kafka: Kafka, topic: str, count: int) -> list[Message]:
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap_servers,
            "group.id": f"{topic}.reader",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(_PARTITIONS)])
    messages: list[Message] = []
    deadline = time.monotonic() + 30
    try:
        while len(messages) < count and time.monotonic() < deadline:
            messages += consumer.consume(count, timeout=0.5)
    finally:
        consumer.close()
    assert all(message.error() is None for message in messages)
    return messages


def _murmur2(key: bytes) -> int:
    """Murmur2 as Kafka's Java clients use it (seed 0x9747b28c, unsigned result)."""
    multiplier, mask = 0x5BD1E995, 0xFFFFFFFF
    length = len(key)
    state = 0x9747B28C ^ length
    whole = length - length % 4
    for at in range(0, whole, 4):
        word = int.from_bytes(key[at : at + 4], "little") * multiplier & mask
        word = (word ^ word >> 24) * multiplier & mask
        state = state * multiplier & mask ^ word
    if tail := key[whole:]:
        state = (state ^ int.from_bytes(tail, "little")) * multiplier & mask
    state = (state ^ state >> 13) * multiplier & mask
    return state ^ state >> 15


def _java_partition(key: bytes) -> int:
    return (_murmur2(key) & 0x7FFFFFFF) % _PARTITIONS


def test_this_murmur2_is_kafkas() -> None:
    # Signed results that Apache Kafka's own UtilsTest expects of Utils.murmur2.
    known = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    assert {key: (_murmur2(key) ^ 1 << 31) - (1 << 31) for key in known} == known


def test_events_arrive_whole_keyed_by_account_on_the_partitions_that_java_would_choose(
    kafka: Kafka, unique_prefix: str
) -> None:
    topic = _create(kafka, f"{unique_prefix}events")
    accounts = [f"account-{number}" for number in range(200)] + ["ü", "日本", "a" * 301]
    with AuditProducer(kafka.bootstrap_servers, topic=topic) as producer:
        deliveries = [
            producer.emit(action="Login", account={"id": account}, metadata={"n": n})
            for n, account in enumerate([*accounts, *accounts])
        ]
        producer.emit_and_wait(action="Login")
    assert all(delivery.done and delivery.exception is None for delivery in deliveries)
    messages = _read(kafka, topic, len(deliveries) + 1)
    assert len(messages) == len(deliveries) + 1
    seen = {delivery.id for delivery in deliveries}
    for message in messages:
        event = orjson.loads(message.value() or b"")
        seen.discard(event["id"])
        key = message.key() or b""
        assert key.decode() == event["account"]["id"]
        assert message.partition() == _java_partition(key)
    assert not seen


def test_order_per_account_is_kept_with_many_threads_and_accounts(
    kafka: Kafka, unique_prefix: str
) -> None:
    topic = _create(kafka, f"{unique_prefix}events")
    per_thread = 1_000

    def emit(producer: AuditProducer, thread: int) -> None:
        choice = random.Random(thread)
        for n in range(per_thread):
            account = {"id": f"account-{thread}-{choice.randrange(5)}"}
            producer.emit(action="Login", account=account, metadata={"n": n})

    with AuditProducer(kafka.bootstrap_servers, topic=topic) as producer:
        threads = [threading.Thread(target=emit, args=(producer, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    messages = _read(kafka, topic, 4 * per_thread)
    assert len(messages) == 4 * per_thread
    order: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        event = orjson.loads(message.value() or b"")
        order[event["account"]["id"]].append(event["metadata"]["n"])
    assert len(order) == 20
    assert all(numbers == sorted(numbers) for numbers in order.values())


def test_the_compression_is_chosen_by_an_option(kafka: Kafka, unique_prefix: str) -> None:
    # The broker tells no client how a batch was compressed, but it judges the size as sent:
    # 200 KB of one letter pass a limit of 20 KB only when they come compressed.
    topic = _create(kafka, f"{unique_prefix}events", max_message_bytes="20000")
    letters = "x" * 200_000
    with AuditProducer(kafka.bootstrap_servers, topic=topic) as producer:
        producer.emit_and_wait(action="Login", description=letters)
    plain = {"compression.type": "none"}
    with AuditProducer(kafka.bootstrap_servers, topic=topic, options=plain) as producer:
        with pytest.raises(DeliveryFailed, match="too large") as refused:
            producer.emit_and_wait(action="Login", description=letters)
        assert not refused.value.may_retry


def test_an_unknown_topic_is_told(kafka: Kafka, unique_prefix: str) -> None:
    producer = AuditProducer(
        kafka.bootstrap_servers, topic=f"{unique_prefix}misspelt", delivery_timeout_s=1
    )
    with pytest.raises(DeliveryFailed) as failed:
        producer.emit_and_wait(action="Login")
    assert failed.value.topic == f"{unique_prefix}misspelt"
    producer.close()


def test_a_broker_that_stops_while_idle_is_told_without_another_emit(fresh_kafka: Kafka) -> None:
    topic = _create(fresh_kafka, "events")
    options = {"log_level": 0}
    producer = AuditProducer(
        fresh_kafka.bootstrap_servers, topic=topic, delivery_timeout_s=2, options=options
    )
    producer.emit_and_wait(action="Login")
    fresh_kafka.stop()
    told: list[Delivery] = []
    called = threading.Event()
    delivery = producer.emit(action="Logout")
    delivery.add_done_callback(lambda done: (told.append(done), called.set()))
    assert called.wait(15)
    assert told == [delivery]
    assert delivery.exception is not None
    assert delivery.exception.may_retry
    fresh_kafka.start()
    producer.emit_and_wait(action="Login", timeout_s=30)  # the producer has recovered by itself
    producer.close()


def test_a_broker_that_is_killed_and_comes_back_gets_every_event_once_and_in_order(
    fresh_kafka: Kafka,
) -> None:
    topic = _create(fresh_kafka, "events")
    options = {"log_level": 0}
    with AuditProducer(fresh_kafka.bootstrap_servers, topic=topic, options=options) as producer:
        for n in range(1_000):
            producer.emit(action="Login", account={"id": f"a{n % 7}"}, metadata={"n": n})
        fresh_kafka.kill()
        for n in range(1_000, 2_000):
            producer.emit(action="Login", account={"id": f"a{n % 7}"}, metadata={"n": n})
        fresh_kafka.start()
    messages = _read(fresh_kafka, topic, 2_000)
    order: dict[str, list[int]] = defaultdict(list)
    for message in messages:
        event = orjson.loads(message.value() or b"")
        order[event["account"]["id"]].append(event["metadata"]["n"])
    assert sorted(n for numbers in order.values() for n in numbers) == list(range(2_000))
    assert all(numbers == sorted(numbers) for numbers in order.values())
