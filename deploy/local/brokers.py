"""Which broker local mode runs: Apache Kafka, or Tansu where that cannot be had."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.kafka import KafkaBroker, fetch_jars, find_java
from auditbus.deploy.local.progress import ProgressLine
from auditbus.deploy.local.tansu import TansuBroker


class Broker(Protocol):
    """A broker that can be run as a child."""

    @property
    def directory(self) -> Path:
        """Where its command must run."""

    @property
    def bootstrap_servers(self) -> str:
        """HOST:PORT for clients; the same after a restart."""

    @property
    def notice(self) -> str | None:
        """What the user must know about it, if anything."""

    @property
    def role_environment(self) -> Mapping[str, str]:
        """Settings that every role needs on it."""

    def prepare(self) -> None:
        """Make its directory ready for a start."""

    def command(self) -> list[str]:
        """Return its command line."""


def choose_broker(
    directory: Path, progress: ProgressLine, stop: threading.Event | None = None
) -> Broker:
    """Return the broker for `directory`; blocks while Apache Kafka is fetched the first time.

    Raises:
        StartInterrupted: `stop` was set during the fetch.
        BrokerUnavailable: neither can be run; the message says what to install.
    """
    try:
        java = find_java()
        jars = fetch_jars(java, progress, stop)
    except BrokerUnavailable as missing:
        return TansuBroker(directory, reason=str(missing))
    return KafkaBroker(directory, java=java, jars=jars)
