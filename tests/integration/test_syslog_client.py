"""The syslog client against receivers that close, reset, stall, and check certificates."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from auditbus.deploy.local.ports import free_port
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.syslog import SyslogClient, SyslogSettings
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome
from tests.pipeline import wait_until
from tests.receivers.certificates import Certificates
from tests.receivers.rfc5424 import read_lines, read_octet_counted
from tests.receivers.syslog_receiver import Connection, receiving


def read_all(connection: Connection) -> None:
    connection.read_all()


def settings(port: int, **fields: Any) -> SyslogSettings:
    table = {
        "type": "syslog",
        "host": "localhost",
        "port": port,
        "transport": "tcp",
        "timeout_s": 2.0,
        **fields,
    }
    return SyslogSettings.model_validate(table)


def over_tls(certificates: Certificates, **fields: Any) -> dict[str, Any]:
    return {
        "transport": "tls",
        "ca_file": str(certificates.ca),
        "client_certificate_file": str(certificates.client),
        "client_key_file": str(certificates.client_key),
        **fields,
    }


@contextmanager
def connected(port: int, **fields: Any) -> Iterator[SyslogClient]:
    client = SyslogClient(settings(port, **fields))
    try:
        yield client
    finally:
        client.close()


def parcel(*numbers: int, size: int = 20) -> Parcel:
    return Parcel("p", [message(number, size) for number in numbers], 0)


def message(number: int, size: int = 20) -> bytes:
    return b"<110>1 - - - - - - %d" % number + b"." * size


def code(outcome: Outcome) -> str:
    assert isinstance(outcome, Blocked | Failed), outcome
    return outcome.code


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
def test_one_connection_carries_all_and_ends_in_good_order(
    certificates: Certificates, is_tls: bool
) -> None:
    tls = certificates.server_context(demand_client=True) if is_tls else None
    fields = over_tls(certificates) if is_tls else {}
    with receiving(read_all, tls=tls) as receiver:
        with connected(receiver.port, **fields) as client:
            assert client.probe() == Delivered()
            for number in range(50):
                assert client.deliver(parcel(number, size=40_000)) == Delivered()
        (connection,) = receiver.accepted(1)
        assert connection.ended.wait(5)  # close_notify, else Python's TLS would raise
    assert read_octet_counted(bytes(connection.read)) == [message(n, 40_000) for n in range(50)]


def test_lines_where_the_receiver_knows_no_counting() -> None:
    with receiving(read_all) as receiver:
        with connected(receiver.port, framing="newline") as client:
            assert client.deliver(parcel(1, 2, 3)) == Delivered()
        (connection,) = receiver.accepted(1)
        assert connection.ended.wait(5)
    assert read_lines(bytes(connection.read)) == [message(n) for n in (1, 2, 3)]


def test_many_threads_share_a_connection_and_no_frame_is_torn() -> None:
    with receiving(read_all) as receiver:
        with connected(receiver.port) as client:

            def send(first: int) -> None:
                for number in range(first, first + 200, 4):
                    assert client.deliver(parcel(number, size=9_000)) == Delivered()

            threads = [threading.Thread(target=send, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(30)
        (connection,) = receiver.accepted(1)
        assert connection.ended.wait(5)
    frames = read_octet_counted(bytes(connection.read))
    assert sorted(frames) == sorted(message(n, 9_000) for n in range(200))


def test_many_threads_and_many_resets_lose_nothing() -> None:
    def handle(connection: Connection) -> None:
        if connection.number >= 8:
            connection.read_all()
            return
        connection.read_some(50_000 * (connection.number + 1) + 7)
        connection.reset()

    with receiving(handle) as receiver:
        with connected(receiver.port) as client:

            def send(first: int) -> None:
                deadline = time.monotonic() + 30
                for number in range(first, first + 400, 4):
                    while client.deliver(parcel(number, size=2_000)) != Delivered():
                        assert time.monotonic() < deadline

            threads = [threading.Thread(target=send, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(40)
        assert receiver.accepted(9)[-1].ended.wait(5)
        streams = [bytes(connection.read) for connection in receiver.connections]
    received = {
        number for number in range(400) if any(message(number, 2_000) in s for s in streams)
    }
    assert received == set(range(400))


def test_a_server_that_hangs_up_on_what_it_is_first_sent_blocks(
    certificates: Certificates,
) -> None:
    """As rsyslog does to a client that it does not permit: nothing counts as delivered."""

    def handle(connection: Connection) -> None:
        if connection.number > 0:
            connection.read_all()
            return
        connection.read_some(1)
        connection.reset()

    with receiving(handle, tls=certificates.server_context()) as receiver:
        with connected(receiver.port, **over_tls(certificates)) as client:
            assert code(client.deliver(parcel(0))) == "client_certificate"
            assert client.deliver(parcel(0)) == Delivered()
        _, second = receiver.accepted(2)
        assert second.ended.wait(5)
    assert read_octet_counted(bytes(second.read)) == [message(0)]


@pytest.mark.parametrize("is_tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("tail_bytes", [8 * 1024 * 1024, 0])
def test_what_a_receiver_had_not_read_when_it_reset_is_sent_again(
    certificates: Certificates, is_tls: bool, tail_bytes: int
) -> None:
    """FAULTS.md 19. Without a tail the same is lost: nobody can know that it was not read."""
    go_on = threading.Event()

    def handle(connection: Connection) -> None:
        if connection.number > 0:
            connection.read_all()
            return
        connection.read_some(len(b"48 ") + len(message(0)))
        go_on.wait(10)
        connection.reset()

    tls = certificates.server_context() if is_tls else None
    fields = over_tls(certificates) if is_tls else {}
    with receiving(handle, tls=tls) as receiver:
        with connected(receiver.port, tail_bytes=tail_bytes, **fields) as client:
            for number in range(5):
                assert client.deliver(parcel(number)) == Delivered()  # the kernel has them all
            go_on.set()
            wait_until(
                lambda: receiver.accepted(1)[0].socket.fileno() < 0, deadline_s=5, what="reset"
            )
            outcome = client.deliver(parcel(5))
            assert outcome == Delivered(), outcome
        first, second = receiver.accepted(2)
        assert second.ended.wait(5)
    assert read_octet_counted(bytes(first.read)) == [message(0)]
    again = range(6) if tail_bytes else (5,)
    assert read_octet_counted(bytes(second.read)) == [message(n) for n in again]


def test_a_connection_that_ends_long_after_the_last_event_repeats_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Load balancers close what is idle: that must not send everything twice."""
    monkeypatch.setattr("auditbus.sinks.siem.destinations.syslog.client._TAIL_S", 0.3)
    idle = threading.Event()

    def handle(connection: Connection) -> None:
        if connection.number > 0:
            connection.read_all()
            return
        connection.read_some(len(b"41 ") + len(message(0)))
        idle.wait(10)

    with receiving(handle) as receiver:
        with connected(receiver.port) as client:
            assert client.deliver(parcel(0)) == Delivered()
            started = time.monotonic()
            wait_until(lambda: time.monotonic() - started > 0.6, deadline_s=5, what="idleness")
            idle.set()
            wait_until(
                lambda: receiver.accepted(1)[0].socket.fileno() < 0, deadline_s=5, what="the end"
            )
            assert client.deliver(parcel(1)) == Delivered()
        _, second = receiver.accepted(2)
        assert second.ended.wait(5)
    assert read_octet_counted(bytes(second.read)) == [message(1)]


def test_a_receiver_that_closes_soon_gets_the_last_again_even_if_noticed_late(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """When it closed counts, not when the next event came."""
    monkeypatch.setattr("auditbus.sinks.siem.destinations.syslog.client._TAIL_S", 0.5)
    delivered = threading.Event()

    def handle(connection: Connection) -> None:
        if connection.number > 0:
            connection.read_all()
            return
        connection.read_some(len(b"41 ") + len(message(0)))
        delivered.wait(10)

    with receiving(handle) as receiver:
        with connected(receiver.port) as client:
            assert client.deliver(parcel(0)) == Delivered()
            delivered.set()
            started = time.monotonic()
            wait_until(lambda: time.monotonic() - started > 1.5, deadline_s=5, what="a while")
            assert client.deliver(parcel(1)) == Delivered()
        _, second = receiver.accepted(2)
        assert second.ended.wait(5)
    assert read_octet_counted(bytes(second.read)) == [message(0), message(1)]


def test_a_receiver_that_stops_reading_is_a_timeout() -> None:
    stop = threading.Event()

    def ignore(_connection: Connection) -> None:
        stop.wait(20)

    with receiving(ignore) as receiver:
        with connected(receiver.port, timeout_s=0.5) as client:
            started = time.monotonic()
            assert code(client.deliver(parcel(*range(200), size=100_000))) == "timeout"
            assert time.monotonic() - started < 5
        stop.set()


def test_what_lies_in_this_sides_buffer_is_not_delivered() -> None:
    """The kernel here takes all of it at once; the receiver's has not acknowledged it."""
    go_on = threading.Event()

    def handle(connection: Connection) -> None:
        go_on.wait(20)
        connection.read_all()

    with (
        receiving(handle, buffer_bytes=2_048) as receiver,
        connected(receiver.port, timeout_s=0.5) as client,
        socket.create_connection(("127.0.0.1", receiver.port), 1) as control,
    ):
        control.setblocking(False)
        assert control.send(b"x" * 15_000) == 15_000
        assert code(client.deliver(parcel(0, size=15_000))) == "timeout"
        go_on.set()
        assert client.deliver(parcel(0, size=15_000)) == Delivered()


def test_a_restarted_receiver_is_found_again() -> None:
    port = free_port()
    with connected(port) as client:
        assert code(client.deliver(parcel(0))) == "refused"
        with receiving(read_all, port=port) as receiver:
            assert client.deliver(parcel(0)) == Delivered()
            wait_until(
                lambda: any(c.read for c in receiver.connections), deadline_s=5, what="the first"
            )
        assert code(client.deliver(parcel(1))) in {"refused", "closed", "connection"}
        with receiving(read_all, port=port) as receiver:
            assert client.deliver(parcel(1)) == Delivered()
            wait_until(
                lambda: any(message(1) in c.read for c in receiver.connections),
                deadline_s=5,
                what="the second",
            )


def test_certificates_that_do_not_fit_block(certificates: Certificates, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Certificates(other)
    tls = certificates.server_context(demand_client=True)
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"client_certificate_file": None, "client_key_file": None}, "client_certificate"),
        (
            {"client_certificate_file": stranger.client, "client_key_file": stranger.client_key},
            "client_certificate",
        ),
        ({"ca_file": str(stranger.ca)}, "certificate"),
        ({"ca_file": None}, "certificate"),
        ({"server_name": "other.example.com"}, "certificate"),
        ({"server_name": "other.example.com", "verify_server_name": False}, ""),
    ]
    with receiving(read_all, tls=tls) as receiver:
        for fields, expected in cases:
            with connected(receiver.port, **over_tls(certificates, **fields)) as client:
                for call in (client.probe, lambda client=client: client.deliver(parcel(1))):
                    outcome = call()
                    found = outcome.code if isinstance(outcome, Blocked) else ""
                    assert found == expected, (fields, outcome)
                    assert expected or outcome == Delivered(), outcome


def test_a_certificate_that_is_renewed_is_taken_up_without_a_restart(
    certificates: Certificates, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    stranger = Certificates(other)
    tls = certificates.server_context(demand_client=True)
    files = {"client_certificate_file": stranger.client, "client_key_file": stranger.client_key}
    with (
        receiving(read_all, tls=tls) as receiver,
        connected(receiver.port, **over_tls(certificates, **files)) as client,
    ):
        assert code(client.deliver(parcel(1))) == "client_certificate"
        stranger.client.write_bytes(certificates.client.read_bytes())
        stranger.client_key.write_bytes(certificates.client_key.read_bytes())
        assert client.deliver(parcel(1)) == Delivered()
        stranger.client.unlink()
        assert client.deliver(parcel(1)) == Delivered()  # the connection stands


def test_a_receiver_without_tls_is_a_failure_and_no_event_crosses(
    certificates: Certificates,
) -> None:
    def answer(connection: Connection) -> None:
        connection.read += connection.socket.recv(4096)
        connection.socket.sendall(b"220 plain text speaks here\r\n")

    with receiving(answer) as receiver:
        with connected(receiver.port, **over_tls(certificates)) as client:
            assert code(client.deliver(parcel(1))) == "tls"
        assert b"<110>" not in receiver.accepted(1)[0].read


def test_a_private_address_is_refused_where_that_is_asked() -> None:
    with receiving(read_all) as receiver:
        for transport in ("tcp", "udp"):
            fields = {"transport": transport, "allow_private_targets": False}
            with connected(receiver.port, **fields) as client:
                assert code(client.deliver(parcel(1))) == "target_refused"
        assert not receiver.connections


def test_a_name_that_is_not_known_is_a_failure() -> None:
    with connected(514, host="syslog.invalid") as client:
        assert code(client.deliver(parcel(1))) == "name_resolution"


def test_a_datagram_a_message_and_a_closed_port_shows_later() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(5)
        with connected(listener.getsockname()[1], host="127.0.0.1", transport="udp") as client:
            assert client.deliver(parcel(1, 2)) == Delivered()
            assert [listener.recv(65_536) for _ in range(2)] == [message(1), message(2)]
            listener.close()
            outcomes = [client.deliver(parcel(3)) for _ in range(3)]
    assert Failed("refused", "nobody listens there") in outcomes
