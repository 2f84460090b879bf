"""Syslog on real Kafka, received and parsed by real rsyslog and syslog-ng."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from auditbus.runtime.settings import Settings
from auditbus.sinks.siem.destinations.syslog.message import message_encoder
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings
from auditbus.sinks.siem.encodings import read_event
from auditbus.sinks.siem.records import Record as KafkaRecord
from tests.backends.parts import Kafka
from tests.forwarding import (
    Table,
    check_exactly_once,
    committed,
    dead_letters,
    forwarder_settings,
    forwarding,
    publish_values,
)
from tests.pipeline import event, wait_until
from tests.receivers.certificates import Certificates
from tests.receivers.rfc5424 import read_message
from tests.receivers.syslog_daemons import Daemon, Record, Rsyslog, SyslogNg
from tests.unit.test_syslog_message import HOSTILE

TRANSPORTS = ["tls", "tcp", "newline", "udp"]


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    directory = tmp_path / "certificates"
    directory.mkdir()
    return Certificates(directory)


@pytest.fixture(params=["rsyslog-ossl", "rsyslog-gtls", "syslog-ng"])
def daemon(
    request: pytest.FixtureRequest, tmp_path: Path, certificates: Certificates
) -> Iterator[Daemon]:
    name, _, driver = request.param.partition("-")
    daemon: Daemon = (
        Rsyslog(tmp_path, certificates, driver)
        if name == "rsyslog"
        else SyslogNg(tmp_path, certificates)
    )
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.kill()


def syslog(
    daemon: Daemon, certificates: Certificates, transport: str = "tls", **fields: Any
) -> Table:
    """A destination's table: on loopback, quick to try again."""
    ports = {
        "tls": daemon.tls_port,
        "tcp": daemon.tcp_port,
        "newline": daemon.lines_port,
        "udp": daemon.udp_port,
    }
    table: Table = {
        "type": "syslog",
        "host": "localhost",
        "port": ports[transport],
        "transport": "tcp" if transport == "newline" else transport,
        "hostname": "forwarder-1",
        "linger_ms": 20,
        "timeout_s": 5.0,
        "retry_base_s": 0.1,
        "retry_cap_s": 0.5,
        **fields,
    }
    if transport == "newline":
        table["framing"] = "newline"
    if transport == "tls":
        table["ca_file"] = str(certificates.ca)
        table["cert_file"] = str(certificates.client)
        table["key_file"] = str(certificates.client_key)
    return table


def publish(settings: Settings, events: list[dict[str, Any]]) -> dict[str, bytes]:
    """Publish events as they are, keyed by account; returns their bytes by id."""
    values = {made["id"]: orjson.dumps(made) for made in events}
    publish_values(
        settings,
        settings.kafka.topics.enriched,
        [(made["account"]["id"].encode(), values[made["id"]]) for made in events],
    )
    return values


def check_parsed(records: list[Record], values: dict[str, bytes], table: Table) -> None:
    """Compare what a daemon parsed, field by field, with what was sent."""
    encode = message_encoder(SyslogSettings.model_validate(table))
    for record in records:
        value = values[record.id]
        sent = encode(read_event(KafkaRecord(0, 0, -1, None, value, ())))
        expected = read_message(sent)
        assert record.msg.encode() == value == expected.msg
        assert int(record.pri) == expected.pri
        assert (record.host, record.app) == ("forwarder-1", "auditbus")
        assert (record.procid, record.msgid) == (expected.procid, expected.msgid)
        written = expected.timestamp.removesuffix("Z")
        assert record.timestamp.startswith(written)
        assert record.timestamp.removeprefix(written).strip("0") in {"Z", "+00:00", "+00:"}
        data = f"<0>1 - - - - - {record.sd}".encode()
        assert read_message(data).data == expected.data


def check_order(records: list[Record]) -> None:
    """Each account's events in the order of their numbers."""
    numbers: dict[str, list[int]] = {}
    for record in records:
        made = orjson.loads(record.msg)
        numbers.setdefault(made["account"]["id"], []).append(made["metadata"]["number"])
    assert numbers
    for found in numbers.values():
        assert found == sorted(found)


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_every_event_arrives_parsed_once_in_order_and_byte_for_byte(
    kafka: Kafka,
    unique_prefix: str,
    daemon: Daemon,
    certificates: Certificates,
    transport: str,
) -> None:
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
    daemon: Daemon,
    certificates: Certificates,
    transport: str,
) -> None:
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
    huge = publish(settings, [event(description="x" * 9000)])
    values |= publish(settings, [event(number) for number in range(20)])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= len(values), deadline_s=40, what="all received")
        (letter,) = dead_letters(settings, 1)
    assert (letter.code, [letter.value]) == ("too_large", list(huge.values()))
    check_exactly_once([*values, *huge], daemon.ids(), huge)
    check_parsed(daemon.records(), values, table)


def test_a_message_of_just_the_cap_arrives_whole(
    kafka: Kafka, unique_prefix: str, daemon: Daemon, certificates: Certificates
) -> None:
    table = syslog(daemon, certificates)
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    made = event(description="")
    encode = message_encoder(SyslogSettings.model_validate(table))
    empty = encode(read_event(KafkaRecord(0, 0, -1, None, orjson.dumps(made), ())))
    made["description"] = "x" * (8192 - len(empty))
    values = publish(settings, [made])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= 1, deadline_s=40, what="it")
    check_exactly_once(values, daemon.ids())
    check_parsed(daemon.records(), values, table)


def test_rsyslog_keeps_a_byte_order_mark_and_syslog_ng_does_not(
    kafka: Kafka, unique_prefix: str, daemon: Daemon, certificates: Certificates
) -> None:
    """Why JSON goes without: see docs/security-teams.md."""
    table = syslog(daemon, certificates, bom="always")
    settings = forwarder_settings(kafka.bootstrap_servers, unique_prefix, soc=table)
    values = publish(settings, [event()])
    with forwarding(settings):
        wait_until(lambda: daemon.count() >= 1, deadline_s=40, what="it")
    (record,) = daemon.records()
    mark = "\ufeff" if daemon.name == "rsyslog" else ""
    assert record.msg == mark + values[record.id].decode()
