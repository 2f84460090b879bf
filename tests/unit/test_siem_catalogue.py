"""The operator's own catalogue counts wherever a severity or a description shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cefp
import orjson
import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import ScopeLogs

from auditbus.runtime.settings import load_settings
from auditbus.sinks.siem.configuration import configured
from auditbus.sinks.siem.preparation import Preparation
from auditbus.sinks.siem.records import Record
from tests.unit.encoding_events import full, raw
from tests.unit.leef_reader import read_leef

_CATALOGUE = """\
["acme.VaultOpened"]
category = "vault"
operation = "open"
description = "Opened a = vault | \\\\ at\\tnight"
severity = "critical"

["StorageDeleted"]
category = "storage"
operation = "delete"
severity = "informational"
"""
_SHOWN = "Opened a = vault | \\ at\tnight"
_OPENED = full("acme.VaultOpened", ("vault", "open"))
del _OPENED["description"]
_DELETED = full("StorageDeleted")


@pytest.fixture
def catalogue(tmp_path: Path) -> Path:
    path = tmp_path / "catalogue.toml"
    path.write_text(_CATALOGUE)
    return path


def _prepared(catalogue: Path, table: str, made: dict[str, Any]) -> bytes | None:
    """Take an event through a destination as `auditbus.toml` describes it."""
    settings = catalogue.with_name("auditbus.toml")
    settings.write_text(f'catalogue = "{catalogue}"\n[forwarder.destinations.soc]\n{table}\n')
    (found,) = configured(load_settings({}, settings))
    return Preparation(found.destination)(Record(0, 0, 0, None, orjson.dumps(made), ()))


def _encoded(catalogue: Path, encoding: str, made: dict[str, Any]) -> bytes:
    table = f'type = "file"\npath = "-"\nencoding = "{encoding}"'
    encoded = _prepared(catalogue, table, made)
    assert encoded is not None
    return encoded


def test_cef(catalogue: Path) -> None:
    record = cefp.parse(_encoded(catalogue, "cef", _OPENED).decode())
    assert (record["name"], record["severity"]) == (_SHOWN.replace("\t", " "), "10")
    assert cefp.parse(_encoded(catalogue, "cef", _DELETED).decode())["severity"] == "1"


def test_leef(catalogue: Path) -> None:
    record = read_leef(_encoded(catalogue, "leef", _OPENED).decode())
    assert record.attributes["sev"] == "10"
    assert record.attributes["description"] == _SHOWN.replace("\t", " ")
    assert read_leef(_encoded(catalogue, "leef", _DELETED).decode()).attributes["sev"] == "1"


def test_ocsf(catalogue: Path) -> None:
    body = orjson.loads(_encoded(catalogue, "ocsf", _OPENED))
    assert (body["severity_id"], body["severity"], body["message"]) == (5, "Critical", _SHOWN)
    assert orjson.loads(_encoded(catalogue, "ocsf", _DELETED))["severity_id"] == 1


def test_ecs(catalogue: Path) -> None:
    body = orjson.loads(_encoded(catalogue, "ecs", _OPENED))
    assert (body["event"]["severity"], body["message"]) == (10, _SHOWN)
    assert body["auditbus"]["severity"] == "critical"
    assert orjson.loads(_encoded(catalogue, "ecs", _DELETED))["event"]["severity"] == 1


@pytest.mark.parametrize("encoding", ["ocsf", "ecs"])
def test_the_raw_topic_takes_the_category_from_it(catalogue: Path, encoding: str) -> None:
    table = f'type = "file"\npath = "-"\ntopic = "raw"\nencoding = "{encoding}"'
    encoded = _prepared(catalogue, table, raw("acme.VaultOpened"))
    body = orjson.loads(encoded or b"")
    found = body["auditbus"]["category"] if encoding == "ecs" else body["activity_name"]
    assert found == ("vault" if encoding == "ecs" else "open")


@pytest.mark.parametrize(
    ("made", "pri"),
    [(_OPENED, 13 * 8 + 2), (_DELETED, 13 * 8 + 6), (_DELETED | {"outcome": "failure"}, 109)],
)
def test_syslog(catalogue: Path, made: dict[str, Any], pri: int) -> None:
    sent = _prepared(catalogue, 'type = "syslog"\nhost = "localhost"', made)
    assert sent is not None
    assert sent.startswith(b"<%d>1 " % pri)


@pytest.mark.parametrize(
    ("made", "number", "text"),
    [
        (_OPENED, 18, "critical"),
        (_DELETED, 9, "informational"),
        (_DELETED | {"error": None, "outcome": None}, 9, "informational"),
        (_DELETED | {"error": {"code": "x"}, "outcome": None}, 10, "informational"),
    ],
)
def test_opentelemetry(catalogue: Path, made: dict[str, Any], number: int, text: str) -> None:
    sent = _prepared(catalogue, 'type = "otlp"\nurl = "https://otel.example.com"', made)
    (record,) = ScopeLogs.FromString(sent or b"").log_records
    assert (record.severity_number, record.severity_text) == (number, text)


def test_minimum_severity(catalogue: Path) -> None:
    table = 'type = "file"\npath = "-"\nfilter = { minimum_severity = "critical" }'
    assert _prepared(catalogue, table, _OPENED) is not None
    assert _prepared(catalogue, table, _DELETED) is None
