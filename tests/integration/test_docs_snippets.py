"""The snippets of the pages do what the pages say, on the real broker and the real engine."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from pathlib import Path
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME
from starlette.testclient import TestClient

from auditbus.producers.testing import RecordingProducer
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse, Kafka
from tests.documents import ROOT, Block, blocks, table_names
from tests.pipeline import environment_of, read_topic, settings_with_topics
from tests.store import days_ago, encode, enriched_event, migrated_client, refresh_counts

_KAFKA = "127.0.0.1:9092"
_EVENT_OF_SQL = {
    "action": "Login",
    "outcome": "failure",
    "context": {"ip": "81.2.69.160"},
    "metadata": {"plan": "team"},
}


def _snippets(page: str, kind: str) -> list[Block]:
    return [block for block in blocks(kind) if block.name.startswith(page)]


def _connects(block: Block) -> bool:
    return re.search(r"(= |with )AuditProducer\(", block.text) is not None


def test_python_publishes(fresh_kafka: Kafka, tmp_path: Path) -> None:
    settings = settings_with_topics(environment_of(fresh_kafka.bootstrap_servers, ""))
    for page in ("README", "service-developers"):
        namespace: dict[str, Any] = {}  # a page's later snippets build on its earlier ones
        for block in _snippets(page, "python"):
            if not _connects(block):
                continue  # the next test's
            text = block.text.replace(_KAFKA, fresh_kafka.bootstrap_servers)
            exec(text.replace("/var/spool", str(tmp_path)), namespace)
            namespace["audit"].close(timeout_s=1)
    messages = read_topic(settings, "audit.events", until=lambda found: len(found) >= 5)
    events = [json.loads(message.value() or b"") for message in messages]
    assert sorted(event["action"] for event in events) == [
        "Login",
        "Login",
        "Login",
        "RetentionPolicyDeleted",
        "StorageDeleted",
    ]
    assert all(message.key() == b"acme" for message in messages)
    assert all(message.timestamp()[0] == TIMESTAMP_LOG_APPEND_TIME for message in messages)


def test_python_of_a_service_does_what_it_says(audit_events: RecordingProducer) -> None:
    """Everything on the page that opens no connection of its own, in order, in one namespace."""
    rest = [block for block in _snippets("service-developers", "python") if not _connects(block)]
    namespace: dict[str, Any] = {"audit": audit_events, "__name__": "service"}
    handlers = [*logging.getLogger().handlers]
    try:
        for block in rest:
            # Without this module's own `annotations`: FastAPI reads the types.
            exec(compile(block.text, block.name, "exec", dont_inherit=True), namespace)
    finally:
        logging.getLogger().handlers[:] = handlers
    assert [event["action"] for event in audit_events.events] == [
        "BackupTriggered",
        "BackupTriggered",
        "StorageUpdated",
        "BackupCompleted",
        "BillingLogged",
        "StorageDeleted",
    ]
    service = {"type": "service", "id": "scheduler"}
    audit_events.assert_recorded(action="BackupTriggered", actor=service, count=2)
    changes = [{"field": "name", "before": "Old", "after": "New"}]
    audit_events.assert_recorded(action="StorageUpdated", changes=changes)
    audit_events.assert_recorded(action="BillingLogged", description="Invoice 7 written off")
    audit_events.clear()
    namespace["test_archiving_is_recorded"](audit_events)
    audit_events.clear()
    with TestClient(namespace["app"], client=("10.0.0.1", 1)) as client:
        client.delete("/storages/s-9", headers={"x-forwarded-for": "203.0.113.9"})
    audit_events.assert_recorded(
        action="StorageDeleted",
        account={"id": "acme"},
        actor={"id": "u-17"},
        context={"ip": "203.0.113.9"},
        targets=[{"id": "s-9"}],
        count=1,
    )


def test_sql_finds_what_it_says(fresh_clickhouse: ClickHouse) -> None:
    with migrated_client(fresh_clickhouse) as client:
        # Two queries look at now and before: an event of this very moment may lie after it.
        event = enriched_event("acme", occurred_at=days_ago(0.01), **_EVENT_OF_SQL)
        other = enriched_event("other", id=uuid7(), context={"ip": "9.9.9.9"}, metadata={})
        Writer(client).insert([encode(event), encode(other)], token="docs")
        refresh_counts(client)
        snippets = _snippets("analysts", "sql")
        assert len(snippets) == 5
        for block in snippets:
            found = client.query(block.text).result_rows
            assert len(found) == (2 if "daily_counts" in block.text else 1), block.name
        text = (ROOT / "docs/analysts.md").read_text()
        for view, heading in (("activity", "Column"), ("daily_counts", "Field")):
            described = client.query(f"DESCRIBE audit.{view}").result_rows
            assert table_names("docs/analysts.md", heading) == [row[0] for row in described]
            for name, kind, _, _, comment, *_ in described:
                shown = re.sub(r"LowCardinality\((.+)\)|Enum8\(.+", _short_type, kind)
                assert f"| `{name}` | {shown} | {comment} |" in text
        beneath = {row[0] for row in client.query("DESCRIBE audit.log").result_rows}
        assert {"search_text", "retention_days", "on_hold", "version"} <= beneath


def _short_type(long: re.Match[str]) -> str:
    return long[1] or "Enum8"


def test_curl_reads_the_store_as_the_page_says(clickhouse: ClickHouse, tmp_path: Path) -> None:
    (command,) = re.findall(r"^curl .+$", (ROOT / "docs/sql-clients.md").read_text(), re.MULTILINE)
    migrated_client(clickhouse).close()
    (tmp_path / ".auditbus").mkdir()
    (tmp_path / ".auditbus/token").write_text(f"{clickhouse.password}\n")
    command = command.replace("http://127.0.0.1:26250", clickhouse.url)
    command = command.replace("default:", f"{clickhouse.username}:").replace("curl ", "curl -fsS ")
    done = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[0] == '"account","count()"'
