"""One Apache Kafka node in KRaft mode on loopback: its storage, configuration and command line.

Durability: Kafka acknowledges a record once it is in the operating system's page cache and leaves
the disk to the kernel. `kill -9` of the broker therefore loses nothing that was acknowledged; a
power failure may lose the last seconds. Production replicates to three machines instead.
"""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.ports import LOOPBACK, kept_port

_JVM_FLAGS = (
    "-Xmx512m",
    # Measured on two cores: the quick compiler alone starts half a second earlier, and spent half
    # the CPU on the first and second 400,000 records of a kilobyte, produced and consumed.
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.QuorumController=error",
    # These complain at a start or stop of a lone node, of nothing: the first of a retry, which it
    # reports to whoever asked, the second of connections to itself.
    "-Dorg.slf4j.simpleLogger.log.kafka.server.ControllerApis=off",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.NetworkClient=error",
)
_PROPERTIES_FILE = "server.properties"
_PROPERTIES = """\
# Written by auditbus at every start; changes are lost.
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
# Relative: a comma would separate two directories, and this file cannot hold every letter.
log.dirs=data
# A misspelt topic is an error, not a new topic without LogAppendTime.
auto.create.topics.enable=false
# One node: nothing to replicate to.
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Few groups: 50 partitions would only make the first join slow.
offsets.topic.num.partitions=8
transaction.state.log.num.partitions=4
# A lone consumer starts at once instead of waiting three seconds for company.
group.initial.rebalance.delay.ms=0
# After kill -9 the node is let in again once its last session has run out; nine seconds by default.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
# The default of 128 MB would be a quarter of the heap; only small topics are compacted.
log.cleaner.dedupe.buffer.size=16777216
"""


class KafkaBroker:
    """The broker of one directory.

    Args:
        directory: holds ports, configuration and data; made when missing, owned by one process at a
            time.
        java: the Java runtime; see `find_java`.
        jars: the directory of jars; see `fetch_jars`.
    """

    def __init__(self, directory: Path, *, java: Path, jars: Path) -> None:
        self._directory = directory.resolve()
        self._java = java
        self._jars = jars
        self._directory.mkdir(parents=True, exist_ok=True)
        record = self._directory / "ports.json"
        self._port = kept_port(record, "kafka")
        self._controller_port = kept_port(record, "kafka-controller")

    @property
    def directory(self) -> Path:
        """Where the command must run."""
        return self._directory

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients; the same after a restart."""
        return f"{LOOPBACK}:{self._port}"

    @property
    def notice(self) -> str | None:
        """Nothing to say: this is the real broker."""
        return None

    @property
    def role_environment(self) -> Mapping[str, str]:
        """Settings that every role needs on this broker: none."""
        return MappingProxyType({})

    def prepare(self) -> None:
        """Write the configuration, and format the storage at first; blocks for about a second then.

        Raises:
            BrokerUnavailable: the storage could not be formatted.
        """
        (self._directory / _PROPERTIES_FILE).write_text(
            _PROPERTIES.format(
                host=LOOPBACK,
                port=self._port,
                controller_port=self._controller_port,
            )
        )
        if (self._directory / "data" / "meta.properties").exists():
            return
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # --cluster-id=X: an id may begin with a dash. --ignore-formatted: a first format may have
        # been killed half-way.
        format_storage = ["format", f"--cluster-id={cluster_id}", "--ignore-formatted"]
        done = subprocess.run(
            [*self._jvm(), "kafka.tools.StorageTool", *format_storage, "-c", _PROPERTIES_FILE],
            cwd=self._directory,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerUnavailable(
                f"formatting {self._directory} failed:\n{done.stdout}{done.stderr}"
            )

    def command(self) -> list[str]:
        """Return the command line of the broker, to be run in `directory`."""
        return [*self._jvm(), "kafka.Kafka", _PROPERTIES_FILE]

    def _jvm(self) -> list[str]:
        return [str(self._java), *_JVM_FLAGS, "-cp", f"{self._jars}/*"]


def kafka_answers(bootstrap_servers: str, timeout_s: float) -> bool:
    """Say whether a broker answers; blocks until one does, at most `timeout_s` seconds."""
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.ms": 50,
            "reconnect.backoff.max.ms": 200,
            "log_level": 0,  # refused connections are what is being waited out
        }
    )
    try:
        return bool(client.list_topics(timeout=timeout_s).brokers)
    except KafkaException:
        return False
