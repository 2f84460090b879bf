"""How many events a second one forwarder process delivers, to one destination of each kind."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import urllib3

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import free_port
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.kafka import new_admin, new_producer
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from bench.broker import kafka
from bench.report import Figure, Measured
from bench.sink import enriched_events

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_FORWARDER_EVENTS", "300000"))
_DEADLINE_S = 120.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Case:
    """One destination to measure.

    `table` is its settings, with `{port}` where its receiver's port goes; `receiver` the command
    that prints the port and then counts (see receivers.py); `demand` is what is asked.
    """

    name: str
    receiver: list[str]
    table: dict[str, Any]
    demand: str
    secrets: dict[str, str] = field(default_factory=dict)


def _receiver(kind: str) -> list[str]:
    return [sys.executable, "-m", "bench.receivers", kind]


CASES = (
    Case(
        "splunk_ack",
        _receiver("splunk"),
        {
            "type": "splunk",
            "url": "http://127.0.0.1:{port}",
            "token_env": "BENCH_TOKEN",
            "allow_private_targets": True,
            "ack_poll_s": 1.0,
        },
        "at least 20,000, or what bounds it",
        {"BENCH_TOKEN": "token"},
    ),
    Case(
        "elasticsearch",
        _receiver("elasticsearch"),
        {
            "type": "elasticsearch",
            "url": "http://127.0.0.1:{port}",
            "allow_private_targets": True,
        },
        "at least 30,000, or what bounds it",
    ),
)


def run() -> Measured:
    figures: dict[str, Figure] = {}
    demands: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name, kafka() as servers:
        settings = load_settings({"AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers})
        create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
        event_bytes = _publish(settings)
        for case in CASES:
            figures |= measure(case, settings, Path(name))
            demands[f"{case.name}_events_per_s"] = case.demand
            demands[f"{case.name}_rss_mib"] = "under 250"
        figures["event_bytes"] = event_bytes
    return Measured(
        question="How many events a second does one forwarder process deliver?",
        figures=figures,
        demands=demands,
        notes=(
            f"{_EVENTS:,} enriched events wait in Kafka, as after an outage; one destination.",
            "From the first acknowledged event to the last; the receiver is another process.",
            (
                "The receiver unpacks and counts lines. It, the broker and the forwarder share the "
                "cores: `cpu_us` is the forwarder's own processor time per event, all threads."
            ),
        ),
    )


def measure(case: Case, settings: Settings, directory: Path) -> dict[str, Figure]:
    """Deliver everything in the topic to one destination."""
    with _receiving(case.receiver) as port:
        table = {
            key: value.replace("{port}", str(port)) if isinstance(value, str) else value
            for key, value in case.table.items()
        }
        config = directory / f"{case.name}.toml"
        config.write_text(
            f"[forwarder.destinations.{case.name}]\n"
            + "".join(f"{key} = {orjson.dumps(value).decode()}\n" for key, value in table.items())
        )
        log = directory / f"{case.name}.log"
        forwarder = Child(
            case.name,
            [
                sys.executable,
                *os.environ.get("AUDITBUS_BENCH_PYTHON", "").split(),
                *("-m", "auditbus.console", "forwarder", "--config", str(config)),
            ],
            environment={
                **os.environ,
                **case.secrets,
                "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
                "AUDITBUS_FORWARDER_HEALTH_PORT": str(free_port()),
            },
            log=log,
        )
        forwarder.start()
        try:
            found = _watch(forwarder, port, case.name, settings)
        except TimeoutError as error:
            raise TimeoutError(log.read_text()[-2000:]) from error
        else:
            return {f"{case.name}_{name}": value for name, value in found.items()}
        finally:
            forwarder.stop(15)


def _watch(forwarder: Child, port: int, name: str, settings: Settings) -> dict[str, Figure]:
    def count() -> dict[str, float]:
        found: dict[str, float] = urllib3.request("GET", f"http://127.0.0.1:{port}/").json()
        return found

    _wait(lambda: count()["first_s"] > 0, forwarder)
    begun_s, cpu_before_s = time.monotonic(), _cpu_s(forwarder)
    _wait(lambda: count()["events"] >= _EVENTS, forwarder)
    found, cpu_s, now_s = count(), _cpu_s(forwarder) - cpu_before_s, time.monotonic()
    assert found["events"] == _EVENTS, found
    _wait(lambda: _committed(settings, name) == _EVENTS, forwarder)
    took_s = found["last_s"] - found["first_s"]
    return {
        "events_per_s": _EVENTS / took_s,
        "cpu_us": _cpu_s(forwarder) / _EVENTS * 1e6,
        "cores_used": cpu_s / (now_s - begun_s),
        "rss_mib": _peak_rss_mib(forwarder),
        "packed_bytes": found["bytes"] / _EVENTS,
    }


def _committed(settings: Settings, name: str) -> int:
    topic = settings.kafka.topics.enriched
    progress = group_progress(settings.kafka, f"forwarder.{name}", topic)
    return sum(item.committed or 0 for item in progress)


@contextmanager
def _receiving(command: list[str]) -> Iterator[int]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _publish(settings: Settings) -> float:
    producer = new_producer(settings.kafka)
    size = 0
    for account, value in enriched_events(_EVENTS):
        size += len(value)
        while True:
            try:
                producer.produce(settings.kafka.topics.enriched, value, account)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0
    return size / _EVENTS


def _cpu_s(child: Child) -> float:
    """Return the processor time of a process, all its threads."""
    fields = Path(f"/proc/{child.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


def _peak_rss_mib(child: Child) -> float:
    status = Path(f"/proc/{child.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _wait(condition: Callable[[], bool], child: Child) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline or not child.running:
            raise TimeoutError(child.name)
        time.sleep(0.1)
