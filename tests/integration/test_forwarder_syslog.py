"""Syslog on real Kafka, received and parsed by real rsyslog and syslog-ng."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from auditbus.schemas import Catalogue
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.syslog import SyslogClient, message
from auditbus.sinks.siem.destinations.syslog.message import message_encoder
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings
from auditbus.sinks.siem.encodings import ENCODINGS, Encoding, read_event
from auditbus.sinks.siem.outcomes import Delivered
from auditbus.sinks.siem.records import Record as KafkaRecord
from tests.backends.parts import Kafka
from tests.forwarding import (
    check_exactly_once,
    committed,
    dead_letters,
    forwarder_settings,
    forwarding,
)
from tests.pipeline import event, wait_until
from tests.receivers.certificates import Certificates
from tests.receivers.syslog_daemons import Daemon
from tests.syslog_sending import (
    DAEMONS,
    HOSTILE,
    TRANSPORTS,
    check_order,
    check_parsed,
    daemon_running,
    publish,
    syslog,
)


@pytest.fixture(params=DAEMONS)
def receiver(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[Daemon, Certificates]]:
    with daemon_running(request.param, tmp_path) as running:
        yield running


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_event_arrives_parsed_once_in_order_and_byte_for_byte(
    kafka: Kafka,
    unique_prefix: str,
    receiver: tuple[Daemon, Certificates],
    transport: str,
) -> None:
    daemon, certificates = receiver
    table = syslog(daemon, certificates, transport)
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    count = 60 if transport == "udp" else 2000  # as many datagrams as a socket holds unread
    values = publish(settings, [event(number) for number in range(count)])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= count, deadline_s=40, what="all received")
    assert sum(committed(settings, "soc").values()) == count
    check_exactly_once(values, daemon.ids())
    check_parsed(daemon.records(), values, table)
    if transport != "udp":
        check_order(daemon.records())


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_hostile_text_in_every_field_neither_breaks_nor_forges_a_record(
    kafka: Kafka,
    unique_prefix: str,
    receiver: tuple[Daemon, Certificates],
    transport: str,
) -> None:
    daemon, certificates = receiver
    table = syslog(daemon, certificates, transport)
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    made = [
        event(
            number,
            account={"id": f"account {text}", "name": text},
            actor={"type": "user", "id": text, "name": text, "email": text},
            description=text,
            targets=[{"type": text, "id": text, "name": text}],
            outcome=text,
            error={"code": text, "message": text},
            context={"ip": text, "user_agent": text},
            metadata={"number": number, text: text},
        )
        for number, text in enumerate(HOSTILE)
    ]
    values = publish(settings, made)
    huge = publish(settings, [event(account={"id": "x" * 9000})])
    long = publish(settings, [event(description="x" * 9000)])
    values |= publish(settings, [event(number) for number in range(20)])
    with forwarding(settings):
        wait_until(lambda: daemon.count() > len(values), deadline_s=40, what="all received")
        (letter,) = dead_letters(settings, 1)
    assert (letter.code, [letter.value]) == ("too_large", list(huge.values()))
    check_exactly_once([*values, *long, *huge], daemon.ids(), huge)
    check_parsed([record for record in daemon.records() if record.id in values], values, table)
    (cut,) = [orjson.loads(record.msg) for record in daemon.records() if record.id in long]
    assert cut["description"].endswith("…[truncated]")


def test_a_message_of_just_the_cap_arrives_whole(
    kafka: Kafka, unique_prefix: str, receiver: tuple[Daemon, Certificates]
) -> None:
    daemon, certificates = receiver
    table = syslog(daemon, certificates)
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    made = event(description="")
    encode = message_encoder(SyslogSettings.model_validate(table), Catalogue.builtin())
    empty = encode(read_event(KafkaRecord(0, 0, -1, None, orjson.dumps(made), ())))
    made["description"] = "x" * (8192 - len(empty))
    values = publish(settings, [made])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= 1, deadline_s=40, what="it")
    check_exactly_once(values, daemon.ids())
    check_parsed(daemon.records(), values, table)


def test_rsyslog_keeps_a_byte_order_mark_and_syslog_ng_does_not(
    kafka: Kafka, unique_prefix: str, receiver: tuple[Daemon, Certificates]
) -> None:
    """Why JSON goes without: see docs/security-teams.md."""
    daemon, certificates = receiver
    table = syslog(daemon, certificates, bom="always")
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    values = publish(settings, [event()])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= 1, deadline_s=40, what="it")
    (record,) = daemon.records()
    mark = "\ufeff" if daemon.name == "rsyslog" else ""
    assert record.msg == mark + values[record.id].decode()


def _encodings() -> list[tuple[str, Encoding]]:
    line = "LEEF:2.0|a|b|1|X|x09|\tcat=é\tsev=5".encode()
    leef = Encoding(lambda _: lambda _: line, is_json=False)
    return [*ENCODINGS.items(), ("json", leef)]  # by tabs, as LEEF delimits; under any known name


def test_every_encoding_arrives_byte_for_byte(
    receiver: tuple[Daemon, Certificates], monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon, certificates = receiver
    read = read_event(KafkaRecord(0, 0, 0, None, orjson.dumps(event(description="a\tb\n|=é")), ()))
    for number, (name, encoding) in enumerate(_encodings(), start=1):
        monkeypatch.setattr(message, "ENCODINGS", {name: encoding})
        table = syslog(daemon, certificates, encoding=name)
        settings = SyslogSettings.model_validate(table)
        client = SyslogClient(settings)
        sent = message_encoder(settings, Catalogue.builtin())(read)
        assert client.deliver(Parcel("p", [sent], 0)) == Delivered()
        client.close()
        wait_until(lambda n=number: daemon.count() >= n, deadline_s=20, what=name)
        got = daemon.records()[-1].msg.encode()
        mark = b"\xef\xbb\xbf"  # before text; syslog-ng takes it off
        assert got.removeprefix(mark) == encoding.encoder(Catalogue.builtin())(read)
        assert got.startswith(mark) == (not encoding.is_json and daemon.name == "rsyslog")
