"""How many events a second one forwarder process delivers to syslog over TLS on loopback."""

import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from auditbus.deploy.local.child import Child
from auditbus.deploy.local.ports import LOOPBACK, free_port
from auditbus.deploy.local.probes import http_answers
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.kafka import new_admin
from auditbus.runtime.settings import Settings, load_settings
from auditbus.runtime.topic_admin import create_topics, specs_for
from auditbus.schemas import Catalogue
from auditbus.sinks.siem.destinations.syslog import KIND, SyslogSettings
from auditbus.sinks.siem.encodings import read_event
from auditbus.sinks.siem.records import Record
from bench.broker import kafka
from bench.report import Measured
from bench.sink import _cpu_s, _event, _publish
from tests.receivers.certificates import Certificates

_EVENTS = int(os.environ.get("AUDITBUS_BENCH_SYSLOG_EVENTS", "300000"))
_DEADLINE_S = 300.0
_ROUNDS = 5


def run() -> Measured:
    draw = random.Random(1)
    events = [_event(draw, number) for number in range(_EVENTS)]
    message_us, message_bytes = _message_cost([value for _, value in events[:20_000]])
    with tempfile.TemporaryDirectory(prefix="auditbus-bench-") as name, kafka() as servers:
        directory = Path(name)
        settings = load_settings({"AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": servers})
        create_topics(new_admin(settings.kafka), specs_for(settings.kafka))
        certificates = Certificates(directory)
        with _receiver(certificates, directory) as port:
            figures = _measure(settings, events, directory, _table(certificates, port))
    return Measured(
        question="How many events a second does one forwarder deliver to syslog over TLS?",
        figures={**figures, "message_us": message_us, "message_bytes": message_bytes},
        demands={
            "events_per_s": "at least 30,000",
            "peak_rss_mib": "under 250",
            "message_us": "under 15",
        },
        notes=(
            (
                f"{_EVENTS:,} enriched events wait in Kafka (12 partitions); `auditbus forwarder` "
                "with one destination and default settings: JSON, TLS 1.3 with a client "
                "certificate, octet counting."
            ),
            "The receiver is a process of its own that reads and throws away, on the same cores.",
            (
                "From the first record read to the last commit: all is acknowledged by the "
                "receiver's kernel. That includes 1 s of waiting whether the server hangs up."
            ),
            "message_us: CPU of reading an event and making its message, median of 5 rounds.",
        ),
    )


def _message_cost(values: list[bytes]) -> tuple[float, float]:
    settings = SyslogSettings(type="syslog", host="localhost")
    encode = KIND.encoder(settings, Catalogue.builtin())
    records = [Record(0, 0, -1, None, value, ()) for value in values]
    rounds = []
    size = 0
    for _ in range(_ROUNDS):
        started = time.process_time()
        size = sum([len(encode(read_event(record))) for record in records])
        rounds.append((time.process_time() - started) / len(records) * 1e6)
    return statistics.median(rounds), size / len(records)


def _table(certificates: Certificates, port: int) -> str:
    return f"""
[forwarder.destinations.soc]
type = "syslog"
host = "localhost"
port = {port}
ca_file = "{certificates.ca}"
client_certificate_file = "{certificates.client}"
client_key_file = "{certificates.client_key}"
"""


@contextmanager
def _receiver(certificates: Certificates, directory: Path) -> Iterator[int]:
    files = (certificates.server, certificates.server_key, certificates.ca)
    log = directory / "receiver.log"
    command = [sys.executable, "-m", "bench.syslog_receiver", *map(str, files)]
    child = Child("receiver", command, log=log)
    child.start()
    try:
        _wait(lambda: log.read_text().endswith("\n"))
        yield int(log.read_text())
    finally:
        child.kill()


def _measure(
    settings: Settings, events: list[tuple[str, bytes]], directory: Path, table: str
) -> dict[str, float]:
    config = directory / "auditbus.toml"
    config.write_text(table)
    port = free_port()
    child = Child(
        "forwarder",
        [sys.executable, "-m", "auditbus.console", "forwarder"],
        environment={
            **os.environ,
            "AUDITBUS_CONFIG": str(config),
            "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "AUDITBUS_FORWARDER_HEALTH_PORT": str(port),
        },
        log=directory / "forwarder.log",
    )
    child.start()
    try:
        _wait(lambda: http_answers(f"http://{LOOPBACK}:{port}/readyz"))
        # Held while the topic is filled, so that it finds full batches, as after an outage.
        os.kill(child.pid, signal.SIGSTOP)
        _publish(settings, events)
        before_s = _cpu_s(child)
        begun_s = time.perf_counter()
        os.kill(child.pid, signal.SIGCONT)
        _wait(lambda: _committed(settings) == len(events))
        took_s = time.perf_counter() - begun_s
        cpu_s = _cpu_s(child) - before_s
        status = Path(f"/proc/{child.pid}/status").read_text()
        peak_kib = int(status.split("VmHWM:")[1].split()[0])
    except TimeoutError as error:
        raise TimeoutError((directory / "forwarder.log").read_text()[-2000:]) from error
    finally:
        child.stop(10)
    return {
        "events_per_s": len(events) / took_s,
        "cpu_us_an_event": cpu_s / len(events) * 1e6,
        "peak_rss_mib": peak_kib / 1024,
        "event_bytes": sum(len(value) for _, value in events) / len(events),
    }


def _committed(settings: Settings) -> int:
    progress = group_progress(settings.kafka, "forwarder.soc", settings.kafka.topics.enriched)
    return sum(item.committed or 0 for item in progress)


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {_DEADLINE_S:.0f} s")
        time.sleep(0.1)
