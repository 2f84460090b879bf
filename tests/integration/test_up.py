"""`auditbus up` as a user runs it: one process, real parts, every kind of end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from importlib.util import find_spec
from pathlib import Path

import clickhouse_connect
import pytest
import requests

from auditbus.deploy.local.brokers import choose_broker
from auditbus.deploy.local.endpoints import Endpoints
from auditbus.deploy.local.errors import BrokerUnavailable
from auditbus.deploy.local.kafka import KafkaBroker
from auditbus.deploy.local.ports import free_port
from auditbus.deploy.local.progress import ProgressLine
from auditbus.runtime.settings import load_settings
from tests.backends.parts import ClickHouse, Kafka
from tests.backends.selection import absent
from tests.pipeline import publish_events

_READY_S = 90.0
_STOP_S = 10.0

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def _kafka_is_at_hand(tmp_path_factory: pytest.TempPathFactory) -> None:
    if find_spec("chdb") is None:
        absent("the embedded store needs chdb")
    try:
        broker = choose_broker(tmp_path_factory.mktemp("probe"), ProgressLine())
    except BrokerUnavailable as missing:
        absent(f"no broker for `up`: {missing}")
    if not isinstance(broker, KafkaBroker):
        absent(f"`up` would run on Tansu, which forgets events: {broker.notice}")


class Pipeline:
    """A running `auditbus up` on `data`."""

    def __init__(self, data: Path, *arguments: str, **variables: str) -> None:
        self.data = data
        self.log = data.parent / "up.log"
        command = [sys.executable, "-m", "auditbus.console", "up"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--data", str(data), "--port", str(free_port()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=data.parent,  # no settings file of somebody's
                env={**os.environ, **variables},
                start_new_session=True,
            )

    @property
    def endpoints(self) -> Endpoints:
        wait_until(lambda: self._has_ended() or (self.data / "endpoints.json").exists(), _READY_S)
        assert not self._has_ended(), self.log.read_text()[-6000:]
        return Endpoints.read(self.data)

    def publish(self, count: int, prefix: str = "") -> set[str]:
        variables = {
            "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": self.endpoints.kafka,
            "AUDITBUS_KAFKA_TOPIC_PREFIX": prefix,
        }
        return set(publish_events(load_settings(variables), count))

    def sign_in(self) -> None:
        """Follow the link that was printed, as its page does; the log says who has signed in."""
        token = self.endpoints.token
        assert (self.data / "token").read_text() == token
        assert f"{self.endpoints.console}/sign-in#token={token}" in self.log.read_text()
        with requests.Session() as browser:
            browser.headers.update({"origin": self.endpoints.console, "accept": "text/html"})
            sent = browser.get(self.endpoints.console, allow_redirects=False, timeout=10)
            assert sent.headers["location"] == "/sign-in"
            url = f"{self.endpoints.console}/sign-in"
            page = browser.post(url, data={"token": token}, timeout=10)
            assert page.url == f"{self.endpoints.console}/"
            assert page.ok
            api = f"{self.endpoints.console}/api/v1/events?account=auditbus&action=Login"
            wait_until(lambda: bool(browser.get(api, timeout=10).json()["events"]), 30)
        program = requests.get(api, headers={"authorization": f"Bearer {token}"}, timeout=10)
        (event,) = program.json()["events"]
        assert event["actor"]["name"] == "Administrator"
        assert event["context"]["ip"] == "127.0.0.1"
        assert requests.get(api, timeout=10).status_code == 401

    def readable(self) -> list[str]:
        """The ids of all events as readers see them, but for the console's own."""
        store = self.endpoints
        client = clickhouse_connect.get_client(dsn=store.clickhouse, password=store.store_password)
        with closing(client):
            return [
                str(row[0])
                for row in client.query(
                    "SELECT id FROM audit.log WHERE account != 'auditbus'"
                ).result_rows
            ]

    def wait_for(self, published: set[str]) -> None:
        """Wait until every event of `published` can be read, and check that each is there once."""
        wait_until(lambda: published <= set(self.readable()), 30)
        ids = self.readable()
        assert len(ids) == len(set(ids))

    def end(self, number: signal.Signals) -> float:
        """Send a signal; return the seconds until the process has ended."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(_STOP_S + 5)
        return time.monotonic() - began

    def _has_ended(self) -> bool:
        return self.process.poll() is not None


@contextmanager
def running(data: Path, *arguments: str, **variables: str) -> Iterator[Pipeline]:
    pipeline = Pipeline(data, *arguments, **variables)
    try:
        yield pipeline
    finally:
        pipeline.process.kill()
        pipeline.process.wait()
        wait_until(lambda: not users_of(data), 10)


def users_of(data: Path) -> list[int]:
    """The processes that were told to work on `data` and have not ended."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            alive = (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            environment = (process / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if alive and f"AUDITBUS_DATA_DIR={data}\0".encode() in environment:
            found.append(int(process.name))
    return found


def wait_until(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.05)


def test_events_outlive_a_stop_and_a_kill_of_the_supervisor(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as pipeline:
        published = pipeline.publish(500)
        pipeline.wait_for(published)
        assert len(users_of(data)) == 6  # broker, store, stream, sink, forwarder, console
        pipeline.sign_in()
        # Some of these are still on their way when the signal comes.
        published |= pipeline.publish(2_000)
        took_s = pipeline.end(signal.SIGTERM)
        assert took_s < _STOP_S
        assert pipeline.process.returncode == 0
        assert users_of(data) == []
        assert not (data / "endpoints.json").exists()
        log = pipeline.log.read_text()
        assert "child_killed" not in log, log[-6000:]

    with running(data) as pipeline:
        pipeline.wait_for(published)
        published |= pipeline.publish(2_000)
        pipeline.end(signal.SIGKILL)
        wait_until(lambda: users_of(data) == [], 5)

    with running(data) as pipeline:
        published |= pipeline.publish(100)
        pipeline.wait_for(published)
        assert set(pipeline.readable()) == published


def test_a_second_up_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as pipeline:
        first = pipeline.endpoints
        second = subprocess.run(
            [sys.executable, "-m", "auditbus.console", "up", "--data", str(data)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 2
        assert f"process id {pipeline.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert pipeline.endpoints == first
        pipeline.wait_for(pipeline.publish(10))


def test_a_killed_role_comes_back_and_loses_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data) as pipeline:
        published = pipeline.publish(1_000)
        sink = next(pid for pid in users_of(data) if _command(pid).endswith("console\0sink\0"))
        os.kill(sink, signal.SIGKILL)
        published |= pipeline.publish(1_000)
        pipeline.wait_for(published)
        assert re.search(r"child_ended.*child=sink", pipeline.log.read_text())


def test_demo_traffic_reaches_the_store_and_the_webhook(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with running(data, "--demo", "50") as pipeline:
        wait_until(lambda: len(pipeline.readable()) >= 100, 30)
        port = json.loads((data / "ports.json").read_text())["demo-receiver"]

        def delivered() -> int:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/count", timeout=5) as answer:
                return int(json.load(answer)["distinct"])

        wait_until(lambda: delivered() >= 100, 30)
        assert pipeline.end(signal.SIGINT) < _STOP_S


def test_what_runs_already_is_used_and_not_started(
    tmp_path: Path, kafka: Kafka, fresh_clickhouse: ClickHouse, unique_prefix: str
) -> None:
    data = tmp_path / "data"
    with running(
        data,
        *("--kafka", kafka.bootstrap_servers, "--clickhouse", fresh_clickhouse.url),
        AUDITBUS_KAFKA_TOPIC_PREFIX=unique_prefix,
        AUDITBUS_KAFKA_PARTITIONS="2",
        AUDITBUS_CLICKHOUSE_USERNAME=fresh_clickhouse.username,
        AUDITBUS_CLICKHOUSE_PASSWORD=fresh_clickhouse.password,
    ) as pipeline:
        pipeline.wait_for(pipeline.publish(100, unique_prefix))
        assert len(users_of(data)) == 4  # stream, sink, forwarder, console
        assert pipeline.endpoints.kafka == kafka.bootstrap_servers
        assert pipeline.end(signal.SIGTERM) < _STOP_S


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
