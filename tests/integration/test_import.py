"""Each format imported twice, in two forms of file, through Kafka, the stream and the store."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import orjson

from auditbus.console.sources import FORMATS
from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.settings import Settings
from auditbus.schemas.validation import validate
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.oracle import dead_letters, ids_seen
from tests.pipeline import environment_of, read_topic, settings_with_topics, wait_until
from tests.roles import start_role
from tests.source_records import RECORDS
from tests.store import migrated_client

_COUNT = 40


def _files(directory: Path, name: str) -> tuple[Path, Path]:
    """Write the same records one a line, and as one packed array or envelope."""
    records = [RECORDS[name](number) for number in range(_COUNT)]
    lines = directory / f"{name}.ndjson"
    lines.write_bytes(b"\n".join(map(orjson.dumps, records)))
    whole: Any = records
    if name in {"cloudtrail", "kubernetes"}:
        whole = {FORMATS[name].envelope: list(reversed(records))}
    packed = directory / f"{name}.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(whole, indent=1).encode()))
    return lines, packed


def _emit(environment: dict[str, str], name: str, prefix: str, *files: Path) -> None:
    result = auditbus(
        *("emit", "--format", name, "--account", f"{prefix}{name}", *map(str, files)),
        environment=environment,
    )
    said = (result.exit_code, result.stdout, result.stderr)
    assert said == (0, f"published {_COUNT * len(files)}, rejected 0\n", "")


def _handled(settings: Settings, group: str, topic: str) -> bool:
    return all(part.lag == 0 for part in group_progress(settings.kafka, group, topic))


def test_what_is_imported_twice_is_stored_once(
    kafka: Kafka, clickhouse: ClickHouse, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(
        kafka.bootstrap_servers, unique_prefix, **store_environment(clickhouse)
    )
    settings = settings_with_topics(environment)
    topics = settings.kafka.topics
    with migrated_client(clickhouse) as client:
        roles = [start_role(role, environment, tmp_path) for role in ("stream", "sink")]
        try:
            for name in FORMATS:
                lines, packed = _files(tmp_path, name)
                _emit(environment, name, unique_prefix, lines)
                _emit(environment, name, unique_prefix, packed)
            published = read_topic(
                settings, topics.events, until=lambda found: len(found) >= 8 * _COUNT
            )
            wanted = {validate(message.value()).id for message in published}
            assert (len(published), len(wanted)) == (8 * _COUNT, 4 * _COUNT)
            wait_until(
                lambda: (
                    _handled(settings, "stream", topics.events)
                    and _handled(settings, "clickhouse-sink", topics.enriched)
                ),
                deadline_s=90,
                what="both copies have come through the stream and the sink",
            )
            assert sorted(ids_seen(client, unique_prefix)) == sorted(wanted)
        finally:
            for role in roles:
                role.terminate()
            for role in roles:
                role.wait(15)
        assert dead_letters(settings) == []
        rows = client.query(
            "SELECT DISTINCT action, country_code FROM audit.log WHERE startsWith(account, %(p)s)",
            parameters={"p": unique_prefix},
        ).result_rows
        located = dict(rows)
        assert located == {
            "TerminateInstances": "GB",
            "repo.destroy": "GB",
            "pods.delete": "",  # its last address is the cluster's own
            "user.session.start": "GB",
        }


def test_several_files_one_of_them_spoilt(kafka: Kafka, unique_prefix: str, tmp_path: Path) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    lines, packed = _files(tmp_path, "cloudtrail")
    broken = tmp_path / "broken.json"
    good = [orjson.dumps(RECORDS["cloudtrail"](number)) for number in range(3)]
    broken.write_bytes(b'{"Records": [%b, %b, nonsense, %b]}' % tuple(good))
    large = RECORDS["cloudtrail"](9, responseElements={"x": "y" * 70_000}, eventName="Big")
    lines.write_bytes(orjson.dumps(large) + b"\n" + lines.read_bytes())
    result = auditbus(
        *("emit", "--format", "cloudtrail", str(lines), str(broken), str(packed)),
        environment=environment,
    )
    assert result.exit_code == 1
    assert result.stdout == f"published {2 * _COUNT + 3}, rejected 2\n"
    first, second, *reasons = result.stderr.splitlines()
    assert first.startswith(f"{lines}: line 1: responseElements: 70,")
    assert second.startswith(f"{broken}: record 3: not JSON")
    assert sorted(reasons) == ["rejected as invalid_value: 1", "rejected as malformed_json: 1"]
    found = read_topic(
        settings, settings.kafka.topics.events, until=lambda found: len(found) >= 2 * _COUNT + 3
    )
    assert {message.key() for message in found} == {b"111122223333"}


def test_the_access_key_that_acted_is_imported(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    made_up = "AKIA" + "MADEUPKEYID12345"  # of the length and letters of a real one
    record = RECORDS["cloudtrail"](
        userIdentity={"type": "IAMUser", "userName": "ann", "accessKeyId": made_up},
        responseElements={"credentials": {"accessKeyId": made_up, "sessionToken": "IQoJb3Jp"}},
    )
    file = tmp_path / "record.json"
    file.write_bytes(orjson.dumps(record))
    result = auditbus("emit", "--format", "cloudtrail", str(file), environment=environment)
    assert (result.exit_code, result.stdout) == (0, "published 1, rejected 0\n")
    (message,) = read_topic(
        settings, settings.kafka.topics.events, until=lambda found: len(found) >= 1
    )
    event = orjson.loads(message.value() or b"")
    assert event["actor"]["credential"]["id"] == made_up
    issued = event["metadata"]["cloudtrail"]["responseElements"]["credentials"]
    assert issued == {"accessKeyId": made_up, "sessionToken": "[redacted]"}


def test_a_dry_run_refuses_the_times_that_publishing_would(tmp_path: Path) -> None:
    """It once judged an event of 1999 to be fine, which the producer then refused."""
    own = b'{"action": "Login", "occurred_at": "1999-01-01T00:00:00Z"}\n{"action": "Login"}\n'
    judged = auditbus("emit", "--dry-run", stdin=own)
    assert (judged.exit_code, judged.stdout) == (1, "would publish 1, rejected 1\n")
    assert "line 1: occurred_at: " in judged.stderr


def test_a_dry_run_needs_no_broker_and_judges_everything(tmp_path: Path) -> None:
    nowhere = {"AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    lines, packed = _files(tmp_path, "github")
    with lines.open("ab") as file:
        file.write(b'\n{"action": 7}\n')
    result = auditbus(
        *("emit", "--format", "github", "--dry-run", str(lines), str(packed)), environment=nowhere
    )
    assert (result.exit_code, result.stdout) == (
        1,
        f"would publish {2 * _COUNT}, rejected 1\n",
    )
    assert f"{lines}: line {_COUNT + 1}: action: " in result.stderr
    piped = auditbus(
        *("emit", "--format", "okta", "--account", "a.okta.com", "--dry-run"),
        environment=nowhere,
        stdin=gzip.compress(orjson.dumps(RECORDS["okta"]())),
    )
    assert (piped.exit_code, piped.stdout) == (0, "would publish 1, rejected 0\n")
    own = b'{"action": "Login"}\n{"action": "Login", "location": {}}\n{"action": "A B"}\n'
    judged = auditbus("emit", "--dry-run", environment=nowhere, stdin=own)
    assert (judged.exit_code, judged.stdout) == (1, "would publish 1, rejected 2\n")
    assert "line 2: location: reserved" in judged.stderr


def test_an_account_is_asked_for_where_records_name_none() -> None:
    for name in ("kubernetes", "okta"):
        result = auditbus("emit", "--format", name, "--dry-run", stdin=b"{}")
        assert result.exit_code == 2
        assert "--account" in result.stderr
    assert auditbus("emit", "--account", "a", "--dry-run", stdin=b"{}").exit_code == 2


def test_cloudtrail_keeps_the_ids_of_keys_and_no_secret(
    kafka: Kafka, unique_prefix: str, tmp_path: Path
) -> None:
    environment = environment_of(kafka.bootstrap_servers, unique_prefix)
    settings = settings_with_topics(environment)
    key_id = "ASIA" + "MADEUP0123456789"
    record = RECORDS["cloudtrail"](0)
    record["userIdentity"]["accessKeyId"] = key_id
    record["responseElements"] = {
        "credentials": {"accessKeyId": key_id},
        "issued": {"accessKeyId": key_id, "sessionToken": "FwoGZXIvYXdz", "secretAccessKey": "wJa"},
    }
    file = tmp_path / "records.json"
    file.write_bytes(orjson.dumps({"Records": [record]}))
    result = auditbus("emit", "--format", "cloudtrail", str(file), environment=environment)
    assert result.stdout == "published 1, rejected 0\n", result.stderr
    published = read_topic(settings, settings.kafka.topics.events, until=bool)
    event = orjson.loads(published[0].value())
    assert event["actor"]["credential"] == {"type": "access_key", "id": key_id}
    assert event["metadata"]["cloudtrail"]["responseElements"] == {
        "credentials": {"accessKeyId": key_id},
        "issued": {
            "accessKeyId": key_id,
            "sessionToken": "[redacted]",
            "secretAccessKey": "[redacted]",
        },
    }
