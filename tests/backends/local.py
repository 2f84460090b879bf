"""The embedded parts: Apache Kafka from its jars, and chDB behind ClickHouse's HTTP interface."""

import os
import secrets
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.kafka import KafkaBroker, fetch_jars, find_java, kafka_answers
from auditbus.deploy.local.ports import LOOPBACK, kept_port
from auditbus.deploy.local.probes import http_answers
from auditbus.deploy.local.progress import ProgressLine
from tests.backends.selection import absent

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 10


class _LocalPart:
    """A child process whose output goes to a file beside its data."""

    def __init__(self, child: Child, log: Path, answers: Callable[[], bool]) -> None:
        self._child = child
        self._log = log
        self._answers = answers

    def start(self) -> None:
        self._child.start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._answers():
            time.sleep(0.02)
            if not self._child.running:
                pytest.fail(f"{self._child.name} ended:\n{self._log.read_text()[-4000:]}")
            if time.monotonic() > deadline:
                pytest.fail(f"{self._child.name} does not answer:\n{self._log.read_text()[-4000:]}")

    def stop(self) -> None:
        self._child.stop(_STOP_TIMEOUT_S)

    def kill(self) -> None:
        self._child.kill()

    @property
    def pid(self) -> int:
        return self._child.pid


class LocalKafka(_LocalPart):
    def __init__(self, directory: Path) -> None:
        try:
            java = find_java()
            jars = fetch_jars(java, ProgressLine())
        except BrokerUnavailable as missing:
            absent(f"no local Kafka: {missing}")
        broker = KafkaBroker(directory, java=java, jars=jars)
        broker.prepare()
        self.bootstrap_servers = broker.bootstrap_servers
        log = directory / "broker.log"
        child = Child("kafka", broker.command(), log=log, directory=broker.directory)
        super().__init__(child, log, lambda: kafka_answers(self.bootstrap_servers, timeout_s=0.5))


class LocalClickHouse(_LocalPart):
    def __init__(self, directory: Path) -> None:
        if find_spec("chdb") is None:
            absent("no local ClickHouse: chdb is not installed")
        directory.mkdir(parents=True, exist_ok=True)
        self.host = LOOPBACK
        self.port = kept_port(directory / "ports.json", "clickhouse")
        self.username = "default"
        self.password = secrets.token_urlsafe(24)
        self.url = f"http://{self.host}:{self.port}"
        store = ["--path", str(directory / "store"), "--port", str(self.port)]
        log = directory / "store.log"
        child = Child(
            "store",
            [sys.executable, "-m", "auditbus.deploy.local.store", *store],
            environment={**os.environ, "AUDITBUS_CLICKHOUSE_PASSWORD": self.password},
            log=log,
        )
        super().__init__(child, log, lambda: http_answers(f"{self.url}/ping"))
