"""`emit`, `topics`, `dead-letters` and `doctor` on a real broker."""

import json
import time
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.dead_letters import DeadLetter, DeadLetterWriter, Origin
from auditbus.runtime.kafka import new_admin, new_consumer, new_producer
from auditbus.runtime.settings import KafkaSettings, Settings, load_settings
from auditbus.runtime.topic_admin import describe_topics
from auditbus.schemas import validate
from tests.backends.parts import ClickHouse, Kafka
from tests.command_line import auditbus, store_environment
from tests.pipeline import environment_of, event, read_topic, settings_with_topics
from tests.store import migrated_client


@pytest.fixture
def environment(kafka: Kafka, unique_prefix: str) -> dict[str, str]:
    return environment_of(kafka.bootstrap_servers, unique_prefix)


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return settings_with_topics(environment)


def _published(settings: Settings, count: int) -> list[bytes]:
    messages = read_topic(
        settings, settings.kafka.topics.events, until=lambda found: len(found) >= count
    )
    return [message.value() or b"" for message in messages]


def test_emit_publishes_what_is_valid_and_names_line_and_field_of_the_rest(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    whole = event(1, unknown={"kept": [1, "\u00e4"]})
    lines = [
        json.dumps(whole),
        "",
        '{"action": "Login", "actor": {"type": "user", "id": "u-1"}}',
        '{"action": 7}',
        "{nonsense",
        '{"action": "Login", "action": "Logout"}',
        '{"action": "Login", "location": {}}',
        '{"action": "Login", "account": {"id": 3}}',
        '{"action": "Login", "score": NaN}',
        "[]",
        json.dumps({"action": "Login", "description": "x" * 300_000}),
        '{"action": "Login", "schema_version": 2}',
        '{"action": "Login\\u001b[2J"}',
        '{"action": "Logout"}',  # without a line break at the end
    ]
    file = tmp_path / "events.ndjson"
    file.write_text("\n".join(lines), encoding="utf-8")
    result = auditbus("emit", str(file), environment=environment)
    assert result.exit_code == 1
    assert result.stdout == "published 3, rejected 10\n"
    assert "\x1b" not in result.stderr
    said = dict(line.split(": ", 1) for line in result.stderr.splitlines())
    reasons = {name: int(said.pop(name)) for name in list(said) if name.startswith("rejected as ")}
    assert sum(reasons.values()) == 10
    assert reasons["rejected as wrong_type"] == 2
    assert list(said) == [f"line {number}" for number in range(4, 14)]
    assert said["line 4"].startswith("action: ")
    assert "not JSON" in said["line 5"]
    assert said["line 6"].startswith("action: ")
    assert "repeated" in said["line 6"]
    assert said["line 7"].startswith("location: reserved")
    assert said["line 8"].startswith("account.id: ")
    assert "not a JSON object" in said["line 10"]
    assert "262,144" in said["line 11"]
    assert said["line 12"].startswith("schema_version: ")
    values = _published(settings, 3)
    assert len(values) == 3
    by_id = {json.loads(value)["id"]: json.loads(value) for value in values}
    stamp = by_id[whole["id"]].pop("producer")  # added; nothing else is changed
    assert stamp["seq"] == 1
    assert by_id[whole["id"]] == whole
    for value in values:
        filled = validate(value)
        assert filled.account is not None


def test_emit_reads_standard_input_without_holding_it(
    settings: Settings, environment: dict[str, str]
) -> None:
    lines = b"".join(json.dumps(event(number)).encode() + b"\n" for number in range(3000))
    result = auditbus("emit", environment=environment, stdin=lines)
    assert (result.exit_code, result.stdout) == (0, "published 3000, rejected 0\n")
    assert len(_published(settings, 3000)) == 3000


def test_emit_says_which_topic_is_missing_and_which_setting_leads_nowhere(
    environment: dict[str, str],
) -> None:
    missing = auditbus("emit", environment=environment, stdin=b"{}")
    assert missing.exit_code == 1
    assert "auditbus topics create" in missing.stderr
    nowhere = {**environment, "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    unreachable = auditbus("topics", "describe", environment=nowhere)
    assert unreachable.exit_code == 3
    assert "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS" in unreachable.stderr


def test_topics_are_created_described_and_never_changed_silently(
    environment: dict[str, str],
) -> None:
    before = auditbus("topics", "describe", "--format", "json", environment=environment)
    assert before.exit_code == 1
    assert all(
        "auditbus topics create" in json.loads(line)["differences"][0]
        for line in before.stdout.splitlines()
    )
    created = auditbus("topics", "create", environment=environment)
    assert (created.exit_code, len(created.stdout.splitlines())) == (0, 7)
    again = auditbus("topics", "create", environment=environment)
    assert (again.exit_code, again.stdout) == (0, "all topics exist as they should\n")
    described = auditbus("topics", "describe", environment=environment)
    assert described.exit_code == 0
    assert "LogAppendTime" in described.stdout
    assert "for ever" in described.stdout
    shrunk = auditbus(
        "topics", "create", environment={**environment, "AUDITBUS_KAFKA_PARTITIONS": "8"}
    )
    assert shrunk.exit_code == 1
    assert "4 partitions, should have 8" in shrunk.stderr
    kafka = load_settings(environment).kafka
    states = describe_topics(new_admin(kafka), list(kafka.topics))
    assert states[kafka.topics.events].partitions == 4


def _bury(settings: Settings, *letters: tuple[str, bytes | None, str | None]) -> None:
    """Write dead letters: code, value, origin topic (None: the raw one)."""
    kafka = settings.kafka
    writer = DeadLetterWriter(new_producer(kafka), kafka.topics.dead_letters)
    for number, (code, value, topic) in enumerate(letters):
        origin = Origin(topic or kafka.topics.events, 1, number, 1_700_000_000_000)
        writer.write(
            DeadLetter(
                value=value,
                key=b"acme",
                headers=(("traceparent", b"00-1"), ("empty", None)),
                code=code,
                reason=f"because [bold]\x1b[2J {number}",
                stage="stream",
                origin=origin,
            )
        )
    writer.flush()


def test_dead_letters_are_listed_with_what_happened(
    settings: Settings, environment: dict[str, str]
) -> None:
    _bury(settings, ("malformed_json", b"{x", None), ("not_utf8", b"\xff\xfe", None),
          ("tombstone", None, None))  # fmt: skip
    result = auditbus("dead-letters", "list", "--format", "json", environment=environment)
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["code"] for row in rows] == ["malformed_json", "not_utf8", "tombstone"]
    first, second, third = rows
    assert first["value"] == "{x"
    assert first["stage"] == "stream"
    assert first["origin"]["topic"] == settings.kafka.topics.events
    assert (first["origin"]["partition"], first["origin"]["offset"]) == (1, 0)
    assert first["key"] == "acme"
    assert second["value_base64"] == "//4="
    assert third["value"] is None
    for arguments, codes in (
        (["--code", "not_utf8"], ["not_utf8"]),
        (["--offset", "1-2"], ["not_utf8", "tombstone"]),
        (["--stage", "sink"], []),
        (["--since", "1h"], ["malformed_json", "not_utf8", "tombstone"]),
        (["--until", "1h"], []),
        (["--limit", "1"], ["tombstone"]),
    ):
        listed = auditbus(
            "dead-letters", "list", "--format", "json", *arguments, environment=environment
        )
        found = [json.loads(line)["code"] for line in listed.stdout.splitlines()]
        assert found == codes, arguments
    table = auditbus("dead-letters", "list", environment=environment).stdout
    assert "because [bold]\\x1b[2J 0" in table
    assert "\x1b" not in table
    assert auditbus("dead-letters", "list", "--forwarder", environment=environment).exit_code == 0


def test_a_replay_publishes_the_original_once_and_again_only_when_told(
    settings: Settings, environment: dict[str, str]
) -> None:
    raw = json.dumps(event(1, schema_version=2), indent=1).encode()
    _bury(settings, ("unsupported_version", raw, None), ("malformed_json", b"{x", None))

    def replay(*arguments: str, stdin: str | None = None) -> tuple[int, str, str]:
        result = auditbus(
            "dead-letters", "replay", *arguments, environment=environment, stdin=stdin
        )
        return result.exit_code, result.stdout, result.stderr

    code, out, said = replay("--code", "unsupported_version", stdin="n\n")
    assert code == 1
    assert "to replay: 1 (1 unsupported_version)" in said
    assert "replayed" not in out

    assert replay("--code", "unsupported_version", "--yes")[:2] == (0, "replayed 1\n")
    (message,) = read_topic(settings, settings.kafka.topics.events, until=bool)
    assert message.value() == raw
    assert message.key() == b"acme"
    assert message.headers() == [("traceparent", b"00-1"), ("empty", None)]

    code, out, said = replay("--code", "unsupported_version", "--yes")
    assert (code, out) == (0, "")
    assert "1 replayed before" in said
    code, out, said = replay("--yes")
    assert (code, out) == (0, "replayed 1\n")  # the other code only
    assert replay("--yes")[1] == ""
    assert replay("--yes", "--all")[1] == "replayed 2\n"
    assert replay("--yes", "--offset", "0")[1] == "replayed 1\n"

    _bury(settings, ("unsupported_version", raw, None))  # refused once more, later
    assert replay("--yes")[1] == "replayed 1\n"
    assert len(_published(settings, 6)) == 6


def test_a_replay_publishes_to_no_foreign_topic(
    settings: Settings, environment: dict[str, str]
) -> None:
    topics = settings.kafka.topics
    _bury(
        settings, ("x", b"1", "payments"), ("x", b"2", topics.alerts), ("x", b"3", topics.enriched)
    )
    result = auditbus("dead-letters", "replay", "--yes", environment=environment)
    assert result.exit_code == 1
    assert result.stdout == "replayed 1\n"
    assert "refused: 2" in result.stderr
    (message,) = read_topic(settings, topics.enriched, until=bool)
    assert message.value() == b"3"


def test_replays_larger_than_a_batch_are_whole(
    settings: Settings, environment: dict[str, str]
) -> None:
    _bury(settings, *(("x", b"%d" % number, None) for number in range(1203)))
    result = auditbus("dead-letters", "replay", "--yes", environment=environment)
    assert result.stdout == "replayed 1203\n"
    assert sorted(map(int, _published(settings, 1203))) == list(range(1203))


def test_doctor_finds_all_well_and_what_is_not(
    settings: Settings, environment: dict[str, str], clickhouse: ClickHouse
) -> None:
    migrated_client(clickhouse).close()
    whole = {**environment, **store_environment(clickhouse)}
    began = time.monotonic()
    result = auditbus("doctor", "--format", "json", environment=whole)
    assert time.monotonic() - began < 30
    found = {line["subject"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert result.exit_code == 0, result.stdout
    assert {line["level"] for line in found.values()} <= {"ok", "warn"}
    assert found[f"topic {settings.kafka.topics.events}"]["found"] == "4 partitions, LogAppendTime"
    never = found[f"consumer group {settings.kafka.group('clickhouse-sink')}"]
    assert (never["level"], never["change"]) == ("warn", "start: auditbus sink")
    assert found["ClickHouse tables"]["level"] == "ok"

    grown = {**whole, "AUDITBUS_KAFKA_PARTITIONS": "8", "AUDITBUS_CLICKHOUSE_PASSWORD": "wrong"}
    shown = auditbus("doctor", environment=grown)
    assert shown.exit_code == 3
    assert "4 partitions, should have 8" in shown.stdout
    assert "AUDITBUS_CLICKHOUSE_PASSWORD" in shown.stdout
    assert "wrong" not in shown.stdout


def test_doctor_counts_what_a_stopped_consumer_has_not_read(
    settings: Settings, environment: dict[str, str]
) -> None:
    kafka = settings.kafka
    lines = b"".join(json.dumps(event(number)).encode() + b"\n" for number in range(30))
    assert auditbus("emit", environment=environment, stdin=lines).exit_code == 0
    _stop_after(kafka, "stream", kafka.topics.events, 20)
    _stop_after(kafka, "forwarder.soc", kafka.topics.events, 12)  # one that reads the raw topic
    result = auditbus("doctor", "--format", "json", environment=environment)
    found = {line["subject"]: line for line in map(json.loads, result.stdout.splitlines())}
    for group, role, behind in (("stream", "stream", 10), ("forwarder.soc", "forwarder", 18)):
        line = found[f"consumer group {kafka.group(group)}"]
        assert (line["level"], line["found"]) == ("warn", f"0 member(s), {behind} behind")
        assert line["change"] == f"nobody reads; start: auditbus {role}"


def _stop_after(kafka: KafkaSettings, group: str, topic: str, count: int) -> None:
    """Leave the committed offsets of a consumer that had read `count` records and was stopped."""
    places = []
    for part in group_progress(kafka, group, topic):
        handled = min(count, part.end)
        count -= handled
        places.append(TopicPartition(topic, part.partition, handled))
    assert count == 0
    consumer = new_consumer(kafka, group)
    consumer.commit(offsets=places, asynchronous=False)
    consumer.close()


def test_a_replays_memory_is_no_consumer_that_lags(
    settings: Settings, environment: dict[str, str]
) -> None:
    _bury(settings, ("x", b"1", None))
    assert auditbus("dead-letters", "replay", "--yes", environment=environment).exit_code == 0
    result = auditbus("doctor", "--format", "json", environment=environment)
    subjects = [json.loads(line)["subject"] for line in result.stdout.splitlines()]
    assert not [subject for subject in subjects if "dead-letters.replay" in subject]


def test_doctor_refuses_timestamps_that_clients_choose(
    settings: Settings, environment: dict[str, str]
) -> None:
    admin, topic = new_admin(settings.kafka), settings.kafka.topics.events
    change = ConfigResource(
        ConfigResource.Type.TOPIC,
        topic,
        incremental_configs=[
            ConfigEntry(
                "message.timestamp.type",
                "CreateTime",
                incremental_operation=AlterConfigOpType.SET,
            )
        ],
    )
    admin.incremental_alter_configs([change])[change].result(10)
    result = auditbus("doctor", "--format", "json", environment=environment)
    found = {line["subject"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert found[f"topic {topic}"]["level"] == "fail"
    assert "LogAppendTime" in found[f"topic {topic}"]["change"]
    assert result.exit_code != 0
