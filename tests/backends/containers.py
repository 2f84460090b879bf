"""Apache Kafka and ClickHouse in containers, through testcontainers; needs a Docker engine.

Each container is bound to a host port of its own choice, so that its address outlives a restart.
"""

import secrets
import time
from collections.abc import Callable

from testcontainers.community.clickhouse import ClickHouseContainer
from testcontainers.community.kafka import KafkaContainer
from testcontainers.core.container import DockerContainer

from auditbus.deploy.local.kafka import kafka_answers
from auditbus.deploy.local.ports import free_port
from auditbus.deploy.local.probes import http_answers

# KafkaContainer drives Confluent's image only; this is Kafka 3.9.
_KAFKA_IMAGE = "confluentinc/cp-kafka:7.9.0"
_CLICKHOUSE_IMAGE = "clickhouse/clickhouse-server:26.8"
_KAFKA_PORT, _CLICKHOUSE_PORT = 9093, 8123  # inside the containers
_START_TIMEOUT_S = 60


class _ContainerPart:
    """A container that can be stopped and started again; removed by `remove`."""

    def __init__(self, container: DockerContainer, answers: Callable[[], bool]) -> None:
        self._container = container
        self._answers = answers
        self._created = False

    def start(self) -> None:
        if self._created:
            self._container.get_wrapped_container().start()
        else:
            self._container.start()
            self._created = True
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            assert time.monotonic() < deadline, "the container does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        self._container.get_wrapped_container().stop()

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def remove(self) -> None:
        self._container.stop()


class ContainerKafka(_ContainerPart):
    def __init__(self) -> None:
        port = free_port()
        container = KafkaContainer(_KAFKA_IMAGE, port=_KAFKA_PORT).with_kraft()
        container.with_bind_ports(_KAFKA_PORT, port)
        container.with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        self.bootstrap_servers = f"{container.get_container_host_ip()}:{port}"
        super().__init__(container, lambda: kafka_answers(self.bootstrap_servers, timeout_s=0.5))


class ContainerClickHouse(_ContainerPart):
    def __init__(self) -> None:
        self.username = "default"
        self.password = secrets.token_urlsafe(24)
        self.port = free_port()
        container = ClickHouseContainer(
            _CLICKHOUSE_IMAGE, username=self.username, password=self.password, dbname="default"
        )
        container.with_bind_ports(_CLICKHOUSE_PORT, self.port)
        container.with_env("CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT", "1")
        self.host = container.get_container_host_ip()
        self.url = f"http://{self.host}:{self.port}"
        super().__init__(container, lambda: http_answers(f"{self.url}/ping"))
