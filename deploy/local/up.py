"""`auditbus up`: the whole pipeline on one machine, every part a child of this process.

In order: broker and store; topics and tables; the roles; the demo traffic, where it is wanted.
"""

import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from auditbus.deploy.local.brokers import choose_broker
from auditbus.deploy.local.child_log import ChildLog
from auditbus.deploy.local.data_dir import DataDirectory, own_data_directory
from auditbus.deploy.local.demo_parts import demo_receiver, demo_traffic, with_demo_destination
from auditbus.deploy.local.endpoints import Endpoints, remove_endpoints
from auditbus.deploy.local.errors import StartInterrupted
from auditbus.deploy.local.parts import (
    broker_child,
    broker_settings,
    console_child,
    console_settings,
    role_child,
    store_child,
    store_settings,
)
from auditbus.deploy.local.progress import ProgressLine
from auditbus.deploy.local.supervisor import Supervisor
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.logging import get_logger
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.sinks.clickhouse.client import new_client
from auditbus.sinks.clickhouse.migrations import migrate

__all__ = ["UpOptions", "endpoints_of", "run_pipeline"]

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """What to run.

    Attributes:
        data: the data directory.
        demo_rate: events a second of demo traffic; None for none.
        kafka: HOST:PORT of a broker that runs already; None to run one.
        clickhouse: URL of a ClickHouse that runs already; None to run the embedded store.
        port: port of the console; None for one that the data directory keeps.
    """

    data: Path
    demo_rate: int | None = None
    kafka: str | None = None
    clickhouse: str | None = None
    port: int | None = None


def run_pipeline(
    options: UpOptions,
    environ: Mapping[str, str],
    stop: threading.Event,
    *,
    terminal: TextIO,
    ready: Callable[[Endpoints], None],
) -> None:
    """Run everything until `stop` is set; main thread only. On return every child has ended.

    Args:
        options: what to run.
        environ: the variables that every child gets; those that tie them together are set here.
        stop: asks to stop.
        terminal: gets progress, notices and the children's logs.
        ready: called once, when events can flow.

    Raises:
        DirectoryInUse: another pipeline runs on the directory.
        BrokerUnavailable: no broker can be run here.
        ChildFailed: a part did not become ready.
        SettingsError, TopicMisconfigured, Unreachable: from topics and migrations.
    """
    with own_data_directory(options.data) as data:
        remove_endpoints(data.path)
        supervisor = Supervisor(stop, ChildLog(terminal), pass_fds=[data.lock_descriptor])
        try:
            environment = _start_infrastructure(options, environ, data, supervisor, terminal, stop)
            settings = load_settings(environment)
            _prepare(settings)
            _start_roles(options, environment, data, supervisor)
            endpoints = endpoints_of(settings, data.token, embedded=options.clickhouse is None)
            endpoints.write(data.path)
            ready(endpoints)
            if options.demo_rate:
                supervisor.start(demo_traffic(options.demo_rate, environment))
            supervisor.watch()
        except StartInterrupted:
            _log.info("start_interrupted")
        finally:
            remove_endpoints(data.path)
            supervisor.stop()


def _start_infrastructure(
    options: UpOptions,
    environ: Mapping[str, str],
    data: DataDirectory,
    supervisor: Supervisor,
    terminal: TextIO,
    stop: threading.Event,
) -> dict[str, str]:
    """Start what the roles need and is not running elsewhere; return the environment for them."""
    broker = None
    environment = {**environ, "AUDITBUS_DATA_DIR": str(data.path)}
    if options.kafka is None:
        broker = choose_broker(data.path / "kafka", ProgressLine(terminal), stop)
        if broker.notice:
            terminal.write(f"{broker.notice}\n")
        broker.prepare()
        environment |= broker_settings(broker)
    else:
        environment["AUDITBUS_KAFKA_BOOTSTRAP_SERVERS"] = options.kafka
    if options.clickhouse is None:
        environment.pop("AUDITBUS_CLICKHOUSE_PASSWORD", None)  # the token takes its place
        environment |= store_settings(data)
    else:
        environment["AUDITBUS_CLICKHOUSE_URL"] = options.clickhouse
    environment.pop("AUDITBUS_CONSOLE_ADMINISTRATOR_TOKEN", None)  # here it is the directory's
    environment |= console_settings(data, options.port)
    children = []
    if broker is not None:
        children.append(broker_child(broker, environment))
    if options.clickhouse is None:
        children.append(store_child(data, environment))
    if options.demo_rate:
        children.append(demo_receiver(data, environment))
    supervisor.start(*children)
    return environment


def _prepare(settings: Settings) -> None:
    """Make the topics and tables that are missing."""
    created = create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
    if created:
        _log.info("topics_created", topics=created)
    with closing(new_client(settings.clickhouse)) as client:
        migrate(client, dictionary_user=settings.clickhouse.dictionary_user)


def _start_roles(
    options: UpOptions,
    environment: Mapping[str, str],
    data: DataDirectory,
    supervisor: Supervisor,
) -> None:
    forwarder = environment
    if options.demo_rate:
        forwarder = with_demo_destination(data, environment)
    supervisor.start(
        role_child("stream", data, environment),
        role_child("sink", data, environment),
        role_child("forwarder", data, forwarder),
        console_child(environment),
    )


def endpoints_of(settings: Settings, token: str, *, embedded: bool) -> Endpoints:
    """Return what other commands need to reach a pipeline that runs with `settings`.

    `token` is the data directory's: the console's, and the store's where that is `embedded`.
    """
    password = settings.clickhouse.password
    return Endpoints(
        kafka=settings.kafka.bootstrap_servers,
        clickhouse=settings.clickhouse.url,
        token=token,
        password=None if embedded else password.get_secret_value() if password else "",
        username=settings.clickhouse.username,
        console=f"http://{settings.console.host}:{settings.console.port}",
    )
