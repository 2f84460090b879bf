"""A real Kafka for one benchmark: an empty node in a directory of its own, gone afterwards."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.kafka import KafkaBroker, fetch_jars, find_java, kafka_answers
from auditbus.deploy.local.progress import ProgressLine

__all__ = ["create_topic", "kafka"]

_START_TIMEOUT_S = 60.0


@contextmanager
def kafka() -> Iterator[str]:
    """Yield the bootstrap servers of a fresh node."""
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as directory:
        java = find_java()
        broker = KafkaBroker(Path(directory), java=java, jars=fetch_jars(java, ProgressLine()))
        broker.prepare()
        log = Path(directory) / "broker.log"
        child = Child("kafka", broker.command(), log=log, directory=broker.directory)
        child.start()
        try:
            deadline = time.monotonic() + _START_TIMEOUT_S
            while not kafka_answers(broker.bootstrap_servers, timeout_s=0.5):
                if not child.running or time.monotonic() > deadline:
                    raise TimeoutError(log.read_text()[-2000:])
            yield broker.bootstrap_servers
        finally:
            child.kill()


def create_topic(bootstrap_servers: str, name: str, partitions: int = 12, **more: str) -> None:
    """Create a topic as auditbus creates its own: LogAppendTime; `more` are Kafka's settings."""
    admin = AdminClient({"bootstrap.servers": bootstrap_servers})
    config = {"message.timestamp.type": "LogAppendTime"}
    config |= {key.replace("_", "."): value for key, value in more.items()}
    made = admin.create_topics([NewTopic(name, partitions, config=config)])
    made[name].result(timeout=10)
