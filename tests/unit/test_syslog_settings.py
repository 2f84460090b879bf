"""Wrong settings of a syslog destination are refused at start, with the field's name."""

import re
from pathlib import Path
from typing import Any

import pytest

from auditbus.runtime.errors import SettingsError
from auditbus.sinks.siem.destinations.syslog import SyslogSettings
from auditbus.sinks.siem.destinations.syslog.tail import Tail
from auditbus.sinks.siem.registry import load_destinations
from tests.receivers.certificates import Certificates


def load(environ: dict[str, str] | None = None, **fields: Any) -> SyslogSettings:
    table = {"type": "syslog", "host": "syslog.example.com", **fields}
    (destination,) = load_destinations({"soc": table}, environ or {})
    assert destination.kind.ordered
    assert isinstance(destination.settings, SyslogSettings)
    return destination.settings


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"host": ""}, "host"),
        ({"host": "a b"}, "host"),
        ({"host": "a\nb"}, "host"),
        ({"port": 0}, "port"),
        ({"transport": "tls1.0"}, "transport"),
        ({"transport": "tcp", "ca_file": "/etc/ca.pem"}, "ca_file"),
        ({"transport": "udp", "server_name": "other"}, "server_name"),
        ({"transport": "udp", "framing": "newline"}, "framing"),
        ({"transport": "udp", "max_message_bytes": 65_508}, "max_message_bytes"),
        ({"max_message_bytes": 100}, "max_message_bytes"),
        ({"client_key_file": "/etc/key.pem"}, "client_certificate_file"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ({"client_certificate_file": "/nowhere/cert.pem"}, "client_certificate_file"),
        ({"app_name": "a b"}, "app_name"),
        ({"hostname": "ü"}, "hostname"),
        ({"enterprise_number": 0}, "enterprise_number"),
        ({"host": "10.0.0.1", "allow_private_targets": False}, "host"),
        ({"client_key_password": "open"}, "client_key_password"),
        ({"secret": "x"}, "secret"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(SettingsError, match=rf"destinations\.soc.*\b{re.escape(named)}\b"):
        load(**fields)


def test_ports_follow_the_transport() -> None:
    assert load().target_port == 6514
    assert load(transport="tcp").target_port == 514
    assert load(transport="udp").target_port == 514
    assert load(port=10_514).target_port == 10_514


def test_a_key_that_is_another_certificates_is_refused(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    pair = {
        "client_certificate_file": certificates.client,
        "client_key_file": certificates.client_key,
    }
    load(**pair)
    with pytest.raises(SettingsError, match="client_key_file"):
        load(**{**pair, "client_key_file": certificates.server_key})


def test_a_locked_key_needs_its_password_and_shows_it_nowhere(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    certificates = Certificates(tmp_path)
    key = serialization.load_pem_private_key(certificates.client_key.read_bytes(), None)
    certificates.client_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"opensesame"),
        )
    )
    pair = {
        "client_certificate_file": certificates.client,
        "client_key_file": certificates.client_key,
    }
    settings = load({"KEY": "opensesame"}, client_key_password_env="KEY", **pair)
    assert "opensesame" not in repr(settings)
    for environ, more in (({"KEY": "wrong"}, {"client_key_password_env": "KEY"}), ({}, {})):
        with pytest.raises(SettingsError, match="client_key_file") as caught:
            load(environ, **more, **pair)
        assert "wrong" not in str(caught.value)


def test_the_tail_keeps_what_is_young_and_fits() -> None:
    tail = Tail(10, keep_s=5)
    for second, data in enumerate([b"aaaa", b"bbbb", b"cc", b"ddd"]):
        tail.add(data, float(second))
    assert (list(tail), len(tail)) == ([b"bbbb", b"cc", b"ddd"], 9)
    tail.prune(6.5)
    assert list(tail) == [b"cc", b"ddd"]
    again = next(iter(tail))
    tail.forget(bytes(bytearray(again)))  # equal, but another batch's
    assert list(tail) == [b"cc", b"ddd"]
    tail.forget(again)
    assert (list(tail), len(tail)) == ([b"ddd"], 3)
    tail.renew(100.0)
    tail.prune(104.0)
    assert list(tail) == [b"ddd"]
    tail.add(b"x" * 11, 105.0)
    assert (list(tail), len(tail)) == ([], 0)
