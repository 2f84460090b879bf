"""Scheduled exports: each interval once, whatever fails, in a folder and in real object storage."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import obstore
import pytest
import requests
from clickhouse_connect.driver.client import Client
from obstore.store import S3Store
from prometheus_client import REGISTRY

from auditbus.console.access import Recorder
from auditbus.console.export import verify
from auditbus.console.export.schedule import Scheduler
from auditbus.producers.testing import RecordingProducer
from auditbus.runtime.errors import SettingsError
from auditbus.runtime.settings import ConsoleSettings, ScheduledExportSettings, Settings
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.console import console_app, program
from tests.object_store import CREDENTIALS, object_store
from tests.pipeline import wait_until
from tests.store import encode, enriched_event, migrated_client, rfc3339

_NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    with object_store() as url:
        yield url


@dataclass
class Schedule:
    """One hourly export, and the clock that it goes by."""

    account: str
    store: Client
    directory: Path
    settings: dict[str, Any]
    producer: RecordingProducer
    now: datetime = _NOON + timedelta(minutes=20)

    @property
    def name(self) -> str:
        return f"{self.account.replace('.', '-')}-hourly"

    def console(self) -> Scheduler:
        """Return the scheduler of a console that has just started."""
        section = ScheduledExportSettings(
            account=self.account, every="1h", delay="10m", **self.settings
        )
        name = self.name
        console = ConsoleSettings(exports_dir=self.directory, scheduled_exports={name: section})
        scheduler = Scheduler.of(Settings(console=console), self.store, Recorder(self.producer))
        scheduler.now = lambda: self.now
        return scheduler

    def received(self, *moments: datetime) -> list[str]:
        """Store an event that was received at each moment; return their ids."""
        events = [
            enriched_event(self.account, occurred_at="2026-11-01T00:00:00Z", received_at=rfc3339(m))
            for m in moments
        ]
        Writer(self.store).insert([encode(event) for event in events], f"test:{uuid7()}")
        return [event["id"] for event in events]

    def recorded(self) -> list[dict[str, Any]]:
        return [dict(one) for one in self.producer.events if one["action"] == "AuditLogExported"]

    def metric(self, name: str, **labels: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"export": self.name, **labels})


@pytest.fixture
def schedule(store: Client, unique_prefix: str, tmp_path: Path) -> Schedule:
    settings = {"to": str(tmp_path / "taken")}
    return Schedule(
        f"{unique_prefix}acme", store, tmp_path / "state", settings, RecordingProducer()
    )


def _exports(folder: Path) -> dict[str, list[str]]:
    """Return the ids in each file by its name, each checked against its manifest."""
    found = {}
    for path in sorted(folder.glob("*.ndjson")):
        verify(path)
        lines = path.read_bytes().splitlines()
        found[path.name.partition("-hourly-")[2]] = [json.loads(line)["id"] for line in lines]
    return found


def test_each_interval_is_exported_once_and_says_so(schedule: Schedule, tmp_path: Path) -> None:
    _, first, last, _ = schedule.received(
        _NOON - _HOUR - timedelta(milliseconds=1),
        _NOON - _HOUR,
        _NOON - timedelta(milliseconds=1),
        _NOON,
    )
    schedule.console().run_due()
    schedule.console().run_due()  # another console, or the same one again
    found = _exports(tmp_path / "taken")
    name = "20261122T110000Z-20261122T120000Z.ndjson"
    assert {file: sorted(ids) for file, ids in found.items()} == {name: sorted([first, last])}
    (event,) = schedule.recorded()
    export = event["metadata"]["export"]
    assert export["filters"]["received"] == {
        "since": "2026-11-22T11:00:00.000Z",
        "until": "2026-11-22T12:00:00.000Z",
    }
    assert event["actor"]["id"].startswith("schedule:")
    assert event["actor"]["type"] == "service"
    assert schedule.metric("audit_scheduled_exports_total", outcome="done") == 1
    assert schedule.metric("audit_scheduled_export_until_timestamp_seconds") == _NOON.timestamp()
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "taken").iterdir()} == {0}


def test_nothing_is_exported_before_all_of_it_is_stored(schedule: Schedule, tmp_path: Path) -> None:
    schedule.console().run_due()
    schedule.now = _NOON + _HOUR + timedelta(minutes=9)
    schedule.console().run_due()
    assert len(_exports(tmp_path / "taken")) == 1
    schedule.now += timedelta(minutes=1)
    schedule.console().run_due()
    assert len(_exports(tmp_path / "taken")) == 2


def test_downtime_is_caught_up_with_interval_by_interval(
    schedule: Schedule, tmp_path: Path
) -> None:
    schedule.console().run_due()
    ids = schedule.received(*(_NOON + _HOUR * number for number in range(5)))
    schedule.now += _HOUR * 5
    schedule.console().run_due()
    found = _exports(tmp_path / "taken")
    assert len(found) == 6
    assert [one for part in found.values() for one in part] == ids


def test_a_failure_is_alarmed_and_tried_again(schedule: Schedule, tmp_path: Path) -> None:
    (id_,) = schedule.received(_NOON - timedelta(minutes=1))
    (tmp_path / "taken").write_text("no folder")
    scheduler = schedule.console()
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_export_alarm") == 1
    assert schedule.metric("audit_scheduled_exports_total", outcome="failed") == 1
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_exports_total", outcome="failed") == 1, "not at once"
    assert schedule.recorded() == []
    (tmp_path / "taken").unlink()
    schedule.now += timedelta(seconds=11)
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_export_alarm") == 0
    assert list(_exports(tmp_path / "taken").values()) == [[id_]]
    assert [path.name for path in schedule.directory.glob("scheduled/*.scratch")] == []


def test_a_console_that_died_after_exporting_exports_nothing_twice(
    schedule: Schedule, tmp_path: Path
) -> None:
    schedule.console().run_due()
    (state,) = (schedule.directory / "scheduled").glob("*.json")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "taken").iterdir()}
    state.unlink()  # what it had not come to
    schedule.console().run_due()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "taken").iterdir()} == before
    assert len(schedule.recorded()) == 1
    assert state.exists()


def test_another_console_that_makes_it_is_not_disturbed(schedule: Schedule, tmp_path: Path) -> None:
    first, second = schedule.console(), schedule.console()
    with first._locked(first.exports[0]) as is_ours:
        assert is_ours
        second.run_due()
    assert not (tmp_path / "taken").exists()
    second.run_due()
    assert len(_exports(tmp_path / "taken")) == 1


def test_a_file_that_cannot_hold_all_is_alarmed(schedule: Schedule, tmp_path: Path) -> None:
    schedule.received(*[_NOON - timedelta(minutes=1)] * 3)
    scheduler = schedule.console()
    export = scheduler.exports[0]

    class Small:
        def __getattr__(self, name: str) -> Any:
            return getattr(export, name)

        def request(self, interval: Any) -> Any:
            return replace(export.request(interval), limit=2)

    scheduler.exports = (Small(),)  # type: ignore[assignment]
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_exports_total", outcome="truncated") == 1
    (file,) = (tmp_path / "taken").glob("*.ndjson")
    assert (verify(file).rows, verify(file).matched) == (2, 3)


def test_object_storage_gets_the_file_in_parts_then_its_manifest(
    schedule: Schedule, s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    bucket = f"audit-{uuid7()}"
    schedule.settings = {"to": f"s3://{bucket}/log", "endpoint": s3, "format": "ndjson"}
    scheduler = schedule.console()
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_export_alarm") == 1, "there is no such bucket"
    requests.put(f"{s3}/{bucket}", timeout=10).raise_for_status()
    event = enriched_event(
        schedule.account, received_at=rfc3339(_NOON - _HOUR), metadata={"filling": "x" * 60_000}
    )
    many = [encode({**event, "id": uuid7()}) for _ in range(300)]  # 18 MB: three parts
    Writer(schedule.store).insert(many, f"test:{uuid7()}")
    schedule.now += timedelta(minutes=1)
    scheduler.run_due()
    assert schedule.metric("audit_scheduled_export_alarm") == 0
    client = S3Store(
        bucket, region="us-east-1", endpoint=s3, client_options={"allow_http": True}
    )  # fmt: skip
    objects = [one for page in obstore.list(client, "log") for one in page]
    taken = tmp_path / "fetched"
    taken.mkdir()
    for one in objects:
        content = bytes(obstore.get(client, one["path"]).bytes())
        (taken / Path(one["path"]).name).write_bytes(content)
    (ids,) = _exports(taken).values()
    assert len(ids) == 300
    (file,) = (one for one in objects if one["path"].endswith(".ndjson"))
    assert str(file["e_tag"]).strip('"').endswith("-3"), "of three parts"
    (schedule.directory / "scheduled").joinpath(f"{scheduler.exports[0].name}.json").unlink()
    schedule.console().run_due()
    assert len(schedule.recorded()) == 1


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"columns": "nope"}, "columns"),
        ({"ip": "nope"}, "ip"),
        ({"format": "parquet", "compress": "gzip"}, "compress"),
        ({"to": "ftp://example.org/x"}, "to"),
    ],
)
def test_settings_that_make_no_sense_are_named(
    schedule: Schedule, wrong: dict[str, str], key: str
) -> None:
    schedule.settings.update(wrong)
    with pytest.raises(SettingsError, match=rf"scheduled_exports\..*-hourly\.{key}: "):
        schedule.console()


def test_the_console_makes_them(store: Client, tmp_path: Path, unique_prefix: str) -> None:
    section = ScheduledExportSettings(to=str(tmp_path / "taken"), account=f"{unique_prefix}acme")
    app = console_app(store, exports_dir=tmp_path, scheduled_exports={"daily": section})
    with program(app):
        wait_until(
            lambda: len([*(tmp_path / "taken").glob("*.manifest.json")]) == 1,
            deadline_s=60,
            what="the first export",
        )
