"""The children of `auditbus up`, and the settings that tie them together.

Everything a child needs travels in its environment; the store's password as the name of its file.
"""

import sys
from collections.abc import Mapping
from functools import partial

from auditbus.deploy.local.brokers import Broker
from auditbus.deploy.local.data_dir import DataDirectory
from auditbus.deploy.local.kafka import kafka_answers
from auditbus.deploy.local.ports import LOOPBACK
from auditbus.deploy.local.probes import http_answers
from auditbus.deploy.local.store.process import store_command
from auditbus.deploy.local.supervisor import ChildSpec

_PROBE_S = 0.5


def broker_settings(broker: Broker) -> dict[str, str]:
    """Return the variables by which a role reaches a broker of our own."""
    return {
        "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "AUDITBUS_KAFKA_SECURITY_PROTOCOL": "PLAINTEXT",
        # One node, whatever the settings file says for production.
        "AUDITBUS_KAFKA_REPLICATION_FACTOR": "1",
        "AUDITBUS_KAFKA_MIN_INSYNC_REPLICAS": "1",
        **broker.role_environment,
    }


def store_settings(data: DataDirectory) -> dict[str, str]:
    """Return the variables by which a role reaches a store of our own."""
    return {
        "AUDITBUS_CLICKHOUSE_URL": f"http://{LOOPBACK}:{data.port('clickhouse')}",
        "AUDITBUS_CLICKHOUSE_USERNAME": "default",
        "AUDITBUS_CLICKHOUSE_PASSWORD_FILE": str(data.token_file),
    }


def broker_child(broker: Broker, environment: Mapping[str, str]) -> ChildSpec:
    """Return the broker; its directory must have been prepared."""
    return ChildSpec(
        name="kafka",
        command=broker.command(),
        environment=environment,
        directory=broker.directory,
        answers=partial(kafka_answers, broker.bootstrap_servers, _PROBE_S),
        stop_timeout_s=2.5,  # it is killed without harm: see the broker's words on durability
    )


def store_child(data: DataDirectory, environment: Mapping[str, str]) -> ChildSpec:
    """Return the store."""
    port = data.port("clickhouse")
    return ChildSpec(
        name="store",
        command=store_command(data.path / "store", port),
        environment=environment,
        answers=partial(http_answers, f"http://{LOOPBACK}:{port}/ping"),
        stop_timeout_s=2.5,
    )


def role_child(role: str, data: DataDirectory, environment: Mapping[str, str]) -> ChildSpec:
    """Return one of the roles that run the same way in production: stream, sink, forwarder.

    The forwarder counts as started when it is alive: a SIEM that is down is no reason to wait.
    """
    port = data.port(f"{role}-health")
    page = "healthz" if role == "forwarder" else "readyz"
    return ChildSpec(
        name=role,
        command=[sys.executable, "-m", "auditbus.console", role],
        environment={**environment, f"AUDITBUS_{role.upper()}_HEALTH_PORT": str(port)},
        answers=partial(http_answers, f"http://{LOOPBACK}:{port}/{page}"),
        stop_timeout_s=5.0,
    )


def console_settings(data: DataDirectory, port: int | None) -> dict[str, str]:
    """Return the variables that say where the console serves; None keeps a port of its own."""
    return {
        "AUDITBUS_CONSOLE_HOST": LOOPBACK,
        "AUDITBUS_CONSOLE_PORT": str(port or data.port("console")),
        "AUDITBUS_CONSOLE_ADMINISTRATOR_TOKEN_FILE": str(data.token_file),
    }


def console_child(environment: Mapping[str, str]) -> ChildSpec:
    """Return the console; `environment` holds its `console_settings`."""
    port = environment["AUDITBUS_CONSOLE_PORT"]
    return ChildSpec(
        name="console",
        command=[sys.executable, "-m", "auditbus.console", "console"],
        environment=environment,
        answers=partial(http_answers, f"http://{LOOPBACK}:{port}/readyz"),
        stop_timeout_s=5.0,
    )
