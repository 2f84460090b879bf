"""Usage, help and exit codes, as far as they need neither Kafka nor ClickHouse."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import SecretStr

from auditbus.console.cli import main
from auditbus.console.cli.exit_codes import ExitCode, Failure
from auditbus.console.cli.local_pipeline import find_settings
from auditbus.deploy.local.endpoints import Endpoints
from auditbus.deploy.local.up import endpoints_of
from auditbus.runtime.errors import (
    DeliveryFailed,
    KafkaUnreachable,
    MissingExtra,
    SettingsError,
    StoreRefused,
    TopicMisconfigured,
    Unreachable,
)
from auditbus.runtime.settings import ClickHouseSettings, Settings
from auditbus.schemas.errors import AuditbusError
from tests.command_line import auditbus


def _commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run where no pipeline runs and nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("AUDITBUS_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize("path", sorted(_commands()), ids=" ".join)
def test_every_command_explains_itself(path: tuple[str, ...]) -> None:
    result = auditbus(*path, "--help")
    assert result.exit_code == 0
    assert f"auditbus {' '.join(path)}" in result.stdout.split("Examples:")[1]
    if isinstance(_find(path), click.Group):
        assert "..." not in result.stdout.split("Commands:")[1], "a line of help is cut off"


@pytest.mark.parametrize(
    "command",
    ["topics describe", "doctor", "dead-letters list", "retention list", "destinations list"],
)
def test_every_listing_offers_json(command: str) -> None:
    assert "--format [table|json]" in auditbus(*command.split(), "--help").stdout


def test_help_imports_no_client() -> None:
    script = (
        "import sys\n"
        "from auditbus.console.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'clickhouse_connect', 'confluent_kafka', 'pydantic', 'rich', 'faust'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "imported []"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["events", "--ip", "1.2.3.4/99"], "81.2.69.0/24"),
        (["events", "--since", "soon"], "7d"),
        (["events", "--id", "7"], "UUID"),
        (["events", "--text", "?!"], "letter or digit"),
        (["events", "--outcome", "fine"], "failure"),
        (["events", "--limit", "-1"], "limit"),
        (["retention", "set", "acme", "0"], "36500"),
        (["dead-letters", "list", "--offset", "x"], "10-20"),
        (["export"], "--out"),
        (["emit", "missing.ndjson"], "missing.ndjson"),
        (["nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_right(arguments: list[str], words: str) -> None:
    result = auditbus(*arguments)
    assert result.exit_code == ExitCode.USAGE
    assert words in result.stderr
    assert result.stdout == ""


def test_a_wrong_setting_exits_2_and_is_named() -> None:
    result = auditbus("events", environment={"AUDITBUS_KAFKA_PARTITIONS": "many"})
    assert result.exit_code == ExitCode.USAGE
    assert "AUDITBUS_KAFKA_PARTITIONS" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["events"], "AUDITBUS_CLICKHOUSE_URL"),
        (["tail"], "AUDITBUS_CLICKHOUSE_URL"),
        (["export", "--out", "x.csv"], "AUDITBUS_CLICKHOUSE_URL"),
        (["migrate"], "AUDITBUS_CLICKHOUSE_URL"),
        (["retention", "list"], "AUDITBUS_CLICKHOUSE_URL"),
    ],
)
def test_what_does_not_answer_exits_3_and_names_the_setting(
    arguments: list[str], setting: str
) -> None:
    result = auditbus(*arguments, environment={"AUDITBUS_CLICKHOUSE_URL": "http://127.0.0.1:9"})
    assert result.exit_code == ExitCode.UNREACHABLE
    assert setting in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KafkaUnreachable("x"), 3),
        (Unreachable("x"), 3),
        (StoreRefused("x"), 3),
        (DeliveryFailed("x"), 3),
        (SettingsError("x"), 2),
        (MissingExtra("stream", "faust"), 2),
        (TopicMisconfigured("x"), 1),
        (AuditbusError("x"), 1),
    ],
)
def test_exit_codes_of_errors(error: AuditbusError, code: int) -> None:
    assert Failure(error).exit_code == code


def _pipeline(directory: Path) -> Path:
    directory.mkdir()
    Endpoints(kafka="127.0.0.1:1", clickhouse="http://127.0.0.1:2", token="secret").write(directory)
    return directory


def test_a_running_local_pipeline_is_found(tmp_path: Path) -> None:
    for data in (_pipeline(tmp_path / "elsewhere"), None):
        if data is None:
            _pipeline(tmp_path / ".auditbus")
        settings = find_settings(data, None)
        assert settings.kafka.bootstrap_servers == "127.0.0.1:1"
        assert settings.clickhouse.url == "http://127.0.0.1:2"
        assert settings.clickhouse.password is not None
        assert settings.clickhouse.password.get_secret_value() == "secret"


def test_a_pipeline_on_a_clickhouse_of_ones_own_is_read_as_the_user_it_runs_as(
    tmp_path: Path,
) -> None:
    """`up --clickhouse` with a user of its own: other commands came as `default`."""
    url = "http://clickhouse:8123"
    given = ClickHouseSettings(url=url, username="auditbus", password=SecretStr("secret"))
    endpoints_of(Settings(clickhouse=given), "the token", embedded=False).write(tmp_path)
    settings = find_settings(tmp_path, None)
    assert (settings.clickhouse.url, settings.clickhouse.username) == (url, "auditbus")
    assert settings.clickhouse.password == SecretStr("secret")
    assert json.loads((tmp_path / "endpoints.json").read_text())["token"] == "the token"


def test_the_token_is_never_sent_to_a_clickhouse_of_ones_own_that_has_no_password(
    tmp_path: Path,
) -> None:
    given = ClickHouseSettings(url="http://clickhouse:8123")
    endpoints_of(Settings(clickhouse=given), "the token", embedded=False).write(tmp_path)
    assert find_settings(tmp_path, None).clickhouse.password == SecretStr("")


def test_settings_that_were_given_win_and_never_get_the_local_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = _pipeline(tmp_path / "data")
    monkeypatch.setenv("AUDITBUS_CLICKHOUSE_URL", "http://clickhouse.example.org:8123")
    settings = find_settings(data, None)
    assert settings.clickhouse.url == "http://clickhouse.example.org:8123"
    assert settings.clickhouse.password is None
    assert settings.kafka.bootstrap_servers == "127.0.0.1:1"
    config = tmp_path / "auditbus.toml"
    config.write_text('[kafka]\nbootstrap_servers = "kafka:9092"\n')
    assert find_settings(data, config).kafka.bootstrap_servers == "kafka:9092"


def test_a_directory_asked_for_where_nothing_runs_exits_3(tmp_path: Path) -> None:
    result = auditbus("events", "--data", str(tmp_path / "nothing"))
    assert result.exit_code == ExitCode.UNREACHABLE
    assert f"auditbus up --data {tmp_path / 'nothing'}" in result.stderr


def test_json_of_doctor_says_what_to_change() -> None:
    nowhere = {
        "AUDITBUS_CLICKHOUSE_URL": "http://127.0.0.1:9",
        "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "AUDITBUS_STREAM_GEOIP_CITY": "missing.mmdb",
    }
    result = auditbus("doctor", "--format", "json", environment=nowhere)
    assert result.exit_code == ExitCode.UNREACHABLE
    found = {line["subject"]: line for line in map(json.loads, result.stdout.splitlines())}
    assert found["Kafka"]["level"] == found["ClickHouse"]["level"] == "fail"
    assert "AUDITBUS_KAFKA_BOOTSTRAP_SERVERS" in found["Kafka"]["change"]
    assert "AUDITBUS_CLICKHOUSE_URL" in found["ClickHouse"]["change"]
    assert "AUDITBUS_STREAM_GEOIP_CITY" in found["location database"]["change"]
    assert found["catalogue"]["level"] == "ok"


def _find(path: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command
