"""Receivers of syslog that are killed, reset or refuse: what is lost, exactly."""

from collections import Counter
from pathlib import Path

import orjson
import pytest
from prometheus_client import REGISTRY

from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    check_nothing_lost,
    committed,
    dead_letters,
    forwarder_process,
    forwarder_settings,
    forwarding,
)
from tests.pipeline import event, wait_until
from tests.receivers.certificates import Certificates
from tests.receivers.rfc5424 import Malformed, read_message, read_octet_counted
from tests.receivers.syslog_receiver import Connection, receiving
from tests.syslog_sending import DAEMONS, check_order, daemon_running, publish, syslog

_COUNT = 4000  # with their headers some 4 MB: all of it fits in the tail of 8 MiB


@pytest.mark.parametrize("name", DAEMONS)
@pytest.mark.parametrize("transport", ["tls", "tcp"])
def test_a_daemon_killed_and_stopped_in_mid_stream_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, name: str, transport: str
) -> None:
    """What it had not stored of the last 8 MiB and 5 s comes again; here that is everything."""
    with daemon_running(name, tmp_path) as (daemon, certificates):
        table = syslog(daemon, certificates, transport, batch_events=50)
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
        quarter = _COUNT // 4
        values = publish(settings, [event(number) for number in range(quarter)])
        with forwarding(settings):
            for number, end in enumerate([daemon.kill, daemon.stop, daemon.kill], start=1):
                goal = daemon.count() + 100
                wait_until(lambda goal=goal: daemon.count() >= goal, deadline_s=40, what="some")
                end()
                more = range(number * quarter, (number + 1) * quarter)
                values |= publish(settings, [event(n) for n in more])
                daemon.start()
            wait_until(
                lambda: daemon.count() >= _COUNT and len(daemon.ids()) == _COUNT,
                deadline_s=60,
                what="all received",
            )
        check_nothing_lost(values, daemon.ids())
        check_order(daemon.records())
        assert sum(committed(settings, "soc").values()) == _COUNT


@pytest.mark.parametrize("name", ["rsyslog-ossl", "syslog-ng"])
def test_the_forwarder_killed_in_mid_stream_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, name: str
) -> None:
    with daemon_running(name, tmp_path) as (daemon, certificates):
        table = syslog(daemon, certificates, batch_events=50)
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
        values = publish(settings, [event(number) for number in range(_COUNT)])
        for number in range(3):
            child = forwarder_process(settings, tmp_path, f"killed{number}")
            child.start()
            goal = daemon.count() + _COUNT // 8
            wait_until(lambda goal=goal: daemon.count() >= goal, deadline_s=40, what="some")
            child.kill()
        with forwarding(settings):
            wait_until(
                lambda: daemon.count() >= _COUNT and len(daemon.ids()) == _COUNT,
                deadline_s=60,
                what="all received",
            )
        check_nothing_lost(values, daemon.ids())
        check_order(daemon.records())


@pytest.mark.parametrize("tail_bytes", [8 * 1024 * 1024, 0])
def test_a_peer_that_resets_what_its_kernel_had_accepted(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, tail_bytes: int
) -> None:
    """With the tail nothing is lost; without, the same is, which shows that the tail does it."""
    reads = [20_000, 400_003]  # each ends in the middle of a message

    def handle(connection: Connection) -> None:
        if connection.number >= len(reads):
            connection.read_all()
            return
        connection.read_some(reads[connection.number])
        goal = sum(committed(settings, "soc").values()) + 30
        wait_until(
            lambda: sum(committed(settings, "soc").values()) >= goal,
            deadline_s=30,
            what="commits of what nobody reads",
        )
        connection.reset()

    with receiving(handle) as receiver:
        table = {
            "type": "syslog",
            "host": "localhost",
            "port": receiver.port,
            "transport": "tcp",
            "tail_bytes": tail_bytes,
            "batch_events": 20,
            "linger_ms": 20,
            "timeout_s": 2.0,
            "retry_base_s": 0.1,
            "retry_cap_s": 0.5,
        }
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
        values = publish(settings, [event(number) for number in range(2000)])
        with forwarding(settings):
            wait_until(
                lambda: sum(committed(settings, "soc").values()) == 2000,
                deadline_s=60,
                what="all acknowledged",
            )
        assert receiver.accepted(len(reads) + 1)[-1].ended.wait(10)
        received = [_ids(bytes(connection.read)) for connection in receiver.connections]
    found = Counter(name for ids in received for name in ids)
    if tail_bytes:
        check_nothing_lost(values, found)
        assert found.total() > len(found)
        return
    missing = values.keys() - found.keys()
    assert missing, "this receiver lets the tail prove nothing"
    lost = sum(len(v) for name, v in values.items() if name in missing)
    assert lost < 8 * 1024 * 1024
    assert found.keys() <= values.keys()


def _ids(stream: bytes) -> list[str]:
    """The ids of the whole messages; what a reset tore off is no message."""
    while True:
        try:
            frames = read_octet_counted(stream)
        except Malformed:
            stream = _without_torn(stream)
        else:
            return [str(orjson.loads(read_message(frame).msg)["id"]) for frame in frames]


def _without_torn(stream: bytes) -> bytes:
    position = 0
    while True:
        digits, space, _ = stream[position:].partition(b" ")
        end = position + len(digits) + 1 + int(digits) if space else len(stream) + 1
        if end > len(stream):
            return stream[:position]
        position = end


@pytest.mark.parametrize("name", DAEMONS)
def test_a_refused_client_certificate_alarms_and_loses_nothing(
    kafka: Kafka, unique_prefix: str, tmp_path: Path, name: str
) -> None:
    """FAULTS.md 18: for syslog, a certificate is the credential."""
    with daemon_running(name, tmp_path) as (daemon, certificates):
        table = syslog(daemon, certificates)
        if name == "rsyslog-ossl":  # lets any name through now and then: rsyslog#6350
            other = tmp_path / "other"
            other.mkdir()
            certificates.reissue_client(by=Certificates(other))
        else:
            certificates.reissue_client("somebody.else.example.com")
        settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, refused=table)
        values = publish(settings, [event(number) for number in range(300)])
        with forwarding(settings):
            wait_until(
                lambda: _alarm("refused") == 1,
                deadline_s=30,
                what="the alarm",
            )
            assert sum(committed(settings, "refused").values()) == 0
            certificates.reissue_client()
            wait_until(lambda: len(daemon.ids()) == 300, deadline_s=30, what="all received")
            wait_until(lambda: _alarm("refused") == 0, deadline_s=10, what="the alarm's end")
        check_exactly_once(values, daemon.ids())
        assert not dead_letters(settings, 1, deadline_s=1)


def _alarm(name: str) -> float | None:
    return REGISTRY.get_sample_value(
        "audit_sink_alarm", {"sink": name, "code": "client_certificate"}
    )
