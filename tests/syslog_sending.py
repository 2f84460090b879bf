"""What tests of syslog over real daemons share: destinations, events, and what was parsed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from auditbus.runtime.settings import Settings
from auditbus.schemas import Catalogue
from auditbus.sinks.siem.destinations.syslog.message import message_encoder
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings
from auditbus.sinks.siem.encodings import read_event
from auditbus.sinks.siem.records import Record as KafkaRecord
from tests.forwarding import Table, publish_values
from tests.receivers.certificates import Certificates
from tests.receivers.rfc5424 import read_message
from tests.receivers.syslog_daemons import Daemon, Record, Rsyslog, SyslogNg

DAEMONS = ["rsyslog-ossl", "rsyslog-gtls", "syslog-ng"]
TRANSPORTS = ["tls", "tcp", "newline", "udp"]


# Text that has broken somebody's framing, escaping or display.
HOSTILE = (
    "",
    " ",
    '"]\\',
    "\\",
    '\\"',
    "a\nb",
    "\r\n<110>1 - - - - - - forged",
    '"] [audit@32473 id="forged"',
    "\0",
    "\x1b[31m\x7f\x85\x9f",
    "\u202egnp.exe\u202c",
    "\u200b\u200d\ufeff",
    "\u2028\u2029",
    "é ü 漢字 🙂",
    "|=,;'`%s${x}",
    "\t\v\f",
    "\ufeff{",
    "x" * 300,
)


@contextmanager
def daemon_running(name: str, directory: Path) -> Iterator[tuple[Daemon, Certificates]]:
    """Run one of DAEMONS, with certificates of its own; skips where it was not fetched."""
    kept = directory / "certificates"
    kept.mkdir()
    certificates = Certificates(kept)
    kind, _, driver = name.partition("-")
    daemon: Daemon = (
        Rsyslog(directory, certificates, driver)
        if kind == "rsyslog"
        else SyslogNg(directory, certificates)
    )
    daemon.start()
    try:
        yield daemon, certificates
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
        table["client_certificate_file"] = str(certificates.client)
        table["client_key_file"] = str(certificates.client_key)
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
    encode = message_encoder(SyslogSettings.model_validate(table), Catalogue.builtin())
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
    """Each account's events in the order of their numbers, as they first came."""
    numbers: dict[str, list[int]] = {}
    for made in [orjson.loads(record.msg) for record in records]:
        found = numbers.setdefault(made["account"]["id"], [])
        if made["metadata"]["number"] not in found:
            found.append(made["metadata"]["number"])
    assert numbers
    for found in numbers.values():
        assert found == sorted(found)
