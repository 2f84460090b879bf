"""Background exports: whole files, whatever happens to the console, for their owner alone."""

import csv
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from backports import zstd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from fastapi import FastAPI
from starlette.testclient import TestClient

from auditbus.console.access import Caller, Principal, Role
from auditbus.console.export import (
    Compression,
    ExportRequest,
    Format,
    chosen_columns,
    manifest_path,
    verify,
)
from auditbus.console.export.jobs import ExportDesk, Job, Progress, State, link_signature
from auditbus.console.export.jobs import desk as desk_module
from auditbus.console.export.jobs import writing as writing_module
from auditbus.console.query import EventFilter, event_predicate
from auditbus.producers.testing import RecordingProducer
from auditbus.schemas.ids import uuid7
from auditbus.sinks.clickhouse.writer import Writer
from tests.backends.parts import ClickHouse
from tests.command_line import store_environment
from tests.console import console_app, console_services, program
from tests.pipeline import wait_until
from tests.store import encode, enriched_event, migrated_client

_ME = Principal("token:me", "Me", Role.AUDITOR)
_DEADLINE_S = 60
_MONTHS = ("2026-09", "2026-10", "2026-11")


@pytest.fixture(scope="module")
def store(clickhouse: ClickHouse) -> Iterator[Client]:
    with migrated_client(clickhouse) as made:
        yield made


@pytest.fixture
def account(unique_prefix: str) -> str:
    return f"{unique_prefix}acme"


@pytest.fixture
def producer() -> RecordingProducer:
    return RecordingProducer()


@pytest.fixture
def app(store: Client, producer: RecordingProducer, tmp_path: Path) -> FastAPI:
    return console_app(store, producer, exports_dir=tmp_path / "exports")


@pytest.fixture
def client(app: FastAPI) -> Iterator[TestClient]:
    with program(app) as made:  # `with`: the workers run
        yield made


@pytest.fixture
def ids(store: Client, account: str) -> list[str]:
    """Store events of three months; return their ids, newest first."""
    events = [
        enriched_event(
            account,
            occurred_at=f"{month}-1{day}T10:00:00Z",
            received_at="2026-11-22T10:00:00Z",
            description=f"=d{day}",
        )
        for month in _MONTHS
        for day in range(4)
    ]
    Writer(store).insert([encode(event) for event in events], f"test:{uuid7()}")
    return [event["id"] for event in events[::-1]]


def _desk(
    store: Client, directory: Path, producer: RecordingProducer | None = None, **console: Any
) -> ExportDesk:
    return console_services(store, producer, exports_dir=directory, **console).exports


def _request(
    account: str, kind: Format = Format.CSV, how: Compression = Compression.NONE
) -> ExportRequest:
    wanted = EventFilter(accounts=(account,))
    return ExportRequest(
        format=kind,
        columns=chosen_columns(None),
        compression=how,
        filter=wanted,
        predicate=event_predicate(wanted),
        limit=None,
        exported_by=_ME.id,
    )


def _submit(desk: ExportDesk, request: ExportRequest) -> Job:
    return desk.submit(request, _ME, Caller("192.0.2.1", "curl"), "organization")


def _progress(desk: ExportDesk, job: Job) -> Progress:
    progress = desk.shelf.progress(job.id)
    assert progress is not None
    return progress


def _run(desk: ExportDesk, until: Callable[[], bool], what: str) -> None:
    desk.start()
    try:
        wait_until(until, deadline_s=_DEADLINE_S, what=what)
    finally:
        desk.stop()


def _finish(desk: ExportDesk, job: Job) -> bytes:
    _run(desk, lambda: not _progress(desk, job).state.is_unfinished, "the end of the export")
    assert _progress(desk, job).state is State.FINISHED, _progress(desk, job).error
    content = desk.shelf.file(job.id).read_bytes()
    manifest = json.loads(desk.shelf.manifest(job.id) or b"")
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    assert manifest["size_bytes"] == len(content)
    return content


def _ids_in(content: bytes, kind: Format, how: Compression = Compression.NONE) -> list[str]:
    unpack = {Compression.GZIP: gzip.decompress, Compression.ZSTD: zstd.decompress}
    plain = unpack[how](content) if how in unpack else content
    match kind:
        case Format.CSV:
            assert plain.count(b"\xef\xbb\xbf") == 1
            text = io.StringIO(plain.decode("utf-8-sig"), newline="")
            return [row["ID"] for row in csv.DictReader(text, strict=True)]
        case Format.NDJSON:
            return [json.loads(line)["id"] for line in plain.splitlines()]
        case Format.PARQUET:
            return list(pq.read_table(io.BytesIO(plain))["id"].to_pylist())


def _exported(producer: RecordingProducer) -> list[dict[str, Any]]:
    return [dict(event) for event in producer.events if event["action"] == "AuditLogExported"]


def _await_finished(client: TestClient, location: str) -> dict[str, Any]:
    answer: dict[str, Any] = {}

    def is_over() -> bool:
        answer.update(client.get(location).json())
        return answer["state"] in {"finished", "failed"}

    wait_until(is_over, deadline_s=_DEADLINE_S, what="the end of the export")
    return answer


def _token(client: TestClient, account: str) -> str:
    asked = {"name": "reports", "role": "auditor", "accounts": [account]}
    return str(client.post("/api/v1/tokens", json=asked).json()["token"])


def test_an_export_from_asking_to_taking_it_away(
    client: TestClient, account: str, ids: list[str], producer: RecordingProducer, tmp_path: Path
) -> None:
    asked = {"account": account, "since": "2026-10-01", "columns": "id", "format": "csv"}
    answer = client.post("/api/v1/exports", params=asked)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/api/v1/exports/{answer.json()['id']}"
    assert answer.json()["state"] == "queued"
    export = _await_finished(client, answer.headers["location"])
    assert (export["rows"], export["matched"], export["truncated"]) == (8, 8, False)
    assert export["filters"] == {"account": [account]}
    assert export["expires_at"] > export["finished_at"]
    assert export["download"]["expires_at"] < export["expires_at"]
    taken = client.get(export["download"]["url"])
    assert taken.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert _ids_in(taken.content, Format.CSV) == ids[:8]
    manifest = client.get(f"{answer.headers['location']}/manifest")
    assert manifest.json() == export["manifest"]
    file = tmp_path / export["manifest"]["file"]
    file.write_bytes(taken.content)
    manifest_path(file).write_bytes(manifest.content)
    assert verify(file).rows == 8
    (event,) = _exported(producer)
    assert event["targets"][0]["id"] == export["id"]
    assert event["metadata"]["export"]["sha256"] == hashlib.sha256(taken.content).hexdigest()
    assert event["context"]["user_agent"] == "testclient"
    part = client.get(export["download"]["url"], headers={"range": "bytes=3-6"})
    assert (part.status_code, part.content) == (206, taken.content[3:7])
    stored = tmp_path / "exports" / export["id"]
    assert {path.stat().st_mode & 0o077 for path in [stored, stored / "file"]} == {0}


@pytest.mark.parametrize("kind", list(Format))
def test_each_format(client: TestClient, account: str, ids: list[str], kind: Format) -> None:
    answer = client.post("/api/v1/exports", params={"account": account, "format": str(kind)})
    export = _await_finished(client, answer.headers["location"])
    assert export["state"] == "finished", export["error"]
    content = client.get(export["download"]["url"]).content
    assert sorted(_ids_in(content, kind)) == sorted(ids)


def test_what_makes_no_sense_is_refused(client: TestClient) -> None:
    wrong = [
        ({"format": "parquet", "compress": "gzip"}, 400, "compress"),
        ({"columns": "nope"}, 400, "columns"),
        ({"format": "xlsx"}, 422, "format"),
        ({"ip": "nope"}, 400, "ip"),
    ]
    for params, status, field in wrong:
        answer = client.post("/api/v1/exports", params=params)
        assert (answer.status_code, answer.json()["field"]) == (status, field)
    assert client.post("/api/v1/exports", json={"account": "acme"}).status_code == 400
    assert client.get("/api/v1/exports").json() == {"exports": []}
    for path in (uuid7(), f"{uuid7()}/manifest", f"{uuid7()}/file?expires=1&signature=x"):
        assert client.get(f"/api/v1/exports/{path}").status_code == 404
    assert client.get("/api/v1/exports/..%2f..%2fetc").status_code in {404, 422}


def test_nobody_but_the_owner_sees_an_export(
    client: TestClient, app: FastAPI, account: str, ids: list[str]
) -> None:
    owner, other = (program(app, _token(client, account)) for _ in range(2))
    path = owner.post("/api/v1/exports").headers["location"]
    export = _await_finished(owner, path)
    link = export["download"]["url"]
    for one in (other, client):  # an administrator neither
        assert one.get(path).status_code == 404
        assert one.get(f"{path}/manifest").status_code == 404
        assert one.get(link).status_code == 404
        assert one.delete(path).status_code == 404
        assert one.post(f"/exports/{export['id']}/delete").status_code == 404
        assert export["id"] not in one.get("/exports").text
        assert one.get("/api/v1/exports").json() == {"exports": []}
    for nobody in (program(app, ""), program(app, "abt_wrong")):
        assert nobody.get(link).status_code == 401
    assert [one["id"] for one in owner.get("/api/v1/exports").json()["exports"]] == [export["id"]]
    assert export["id"] in owner.get("/exports").text
    assert owner.get(link).status_code == 200


def test_it_holds_what_its_owner_might_see_then(
    client: TestClient, app: FastAPI, store: Client, account: str, ids: list[str]
) -> None:
    Writer(store).insert([encode(enriched_event(f"{account}-other"))], f"test:{uuid7()}")
    owner = program(app, _token(client, account))
    path = owner.post("/api/v1/exports", params={"format": "ndjson"}).headers["location"]
    export = _await_finished(owner, path)
    found = _ids_in(owner.get(export["download"]["url"]).content, Format.NDJSON)
    assert sorted(found) == sorted(ids)


def test_a_link_ends_and_cannot_be_made(
    client: TestClient, app: FastAPI, account: str, ids: list[str]
) -> None:
    path = client.post("/api/v1/exports", params={"account": account}).headers["location"]
    export = _await_finished(client, path)
    job = app.state.services.exports.shelf.job(export["id"])
    now_s = int(time.time())

    def follow(expires_s: int, signature: str) -> int:
        asked = {"expires": expires_s, "signature": signature}
        return client.get(f"{path}/file", params=asked).status_code

    assert follow(now_s + 60, link_signature(job, now_s + 60)) == 200
    assert follow(now_s - 1, link_signature(job, now_s - 1)) == 403
    assert follow(now_s + 600, link_signature(job, now_s + 60)) == 403
    assert follow(now_s + 60, "\u00e9") == 403
    assert job.link_key not in repr(job)
    assert job.link_key not in json.dumps(export)


def test_a_revoked_token_opens_no_link(
    client: TestClient, app: FastAPI, account: str, ids: list[str]
) -> None:
    token = _token(client, account)
    owner = program(app, token)
    export = _await_finished(owner, owner.post("/api/v1/exports").headers["location"])
    assert owner.get(export["download"]["url"]).status_code == 200
    id_ = owner.get("/api/v1/principal").json()["id"].removeprefix("token:")
    assert client.delete(f"/api/v1/tokens/{id_}").status_code == 204
    assert owner.get(export["download"]["url"]).status_code == 401


def test_who_may_see_less_now_does_not_get_the_file(
    client: TestClient, app: FastAPI, account: str, ids: list[str]
) -> None:
    organization = {"name": f"{account}-group", "accounts": [account]}
    assert client.post("/api/v1/organizations", json=organization).status_code == 204
    asked = {"name": "x", "role": "auditor", "organizations": [organization["name"]]}
    owner = program(app, client.post("/api/v1/tokens", json=asked).json()["token"])
    path = owner.post("/api/v1/exports").headers["location"]
    link = _await_finished(owner, path)["download"]["url"]
    for accounts, status in (([], 403), (["another", account], 200), (["another"], 403)):
        client.post("/api/v1/organizations", json=organization | {"accounts": accounts})
        assert owner.get(link).status_code == status, accounts


def test_deleting_and_the_limit_of_one_who_asks(
    store: Client, account: str, ids: list[str], tmp_path: Path
) -> None:
    app = console_app(store, exports_dir=tmp_path / "exports", exports_per_principal=2)
    client = program(app)  # without workers: everything stays queued
    paths = [client.post("/api/v1/exports").headers["location"] for _ in range(2)]
    refused = client.post("/api/v1/exports")
    assert (refused.status_code, "2 exports" in refused.json()["detail"]) == (429, True)
    assert client.get(f"{paths[0]}/manifest").status_code == 409
    assert client.delete(paths[0]).status_code == 204
    assert client.get(paths[0]).status_code == 404
    assert client.post("/api/v1/exports").status_code == 202


def test_no_more_than_the_room_there_is(
    store: Client, account: str, ids: list[str], tmp_path: Path, producer: RecordingProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(writing_module, "_TELL_EVERY_S", 0)
    desk = _desk(store, tmp_path, producer, exports_disk_mb=1)
    held, job = _submit(desk, _request(account)), _submit(desk, _request(account))
    desk.shelf.file(held.id).write_bytes(b"x" * 1_000_000)
    desk.shelf.save(held.id, Progress().ended(State.FINISHED))
    app = console_app(store, exports_dir=tmp_path, exports_disk_mb=1)
    assert program(app).post("/api/v1/exports").status_code == 507
    _run(desk, lambda: not _progress(desk, job).state.is_unfinished, "the export to fail")
    assert _progress(desk, job).state is State.FAILED
    assert "1 MB" in (_progress(desk, job).error or "")
    assert not desk.shelf.file(job.id).exists()
    (event,) = _exported(producer)
    assert "1 MB" in event["error"]["message"]


class _EnoughError(Exception):
    pass


@pytest.mark.parametrize("kind", list(Format))
@pytest.mark.parametrize("how", list(Compression))
def test_what_was_left_off_is_gone_on_with(
    store: Client, account: str, ids: list[str], tmp_path: Path, kind: Format, how: Compression,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if kind is Format.PARQUET and how is not Compression.NONE:
        return
    desk = _desk(store, tmp_path)
    whole = _finish(desk, _submit(desk, _request(account, kind, how)))
    job = _submit(desk, _request(account, kind, how))
    monkeypatch.setattr(writing_module, "_TELL_EVERY_S", 0)

    def enough() -> None:
        if _progress(desk, job).slices == 2:
            raise _EnoughError

    with desk.shelf.locked(job.id), pytest.raises(_EnoughError):
        writing_module.write_job(desk.shelf, job, Progress(), store, enough)
    left = _progress(desk, job)
    assert (left.slices, left.rows) == (2, 8)
    with desk.shelf.file(job.id).open("ab") as file:
        file.write(b"half a slice")
    Writer(store).insert(  # comes later: no part of it, though it falls into the last slice
        [encode(enriched_event(account, occurred_at="2026-09-12T10:00:00Z"))], f"test:{uuid7()}"
    )
    resumed = _finish(desk, job)
    assert sorted(_ids_in(resumed, kind, how)) == sorted(
        ids if kind.is_resumable else [*ids, *(set(_ids_in(resumed, kind, how)) - set(ids))]
    )
    if kind.is_resumable:
        assert resumed == whole


def test_a_console_that_was_killed_loses_nothing(
    store: Client, clickhouse: ClickHouse, account: str, ids: list[str], tmp_path: Path
) -> None:
    desk = _desk(store, tmp_path / "exports")
    job = _submit(desk, _request(account))
    environment = {**os.environ, **store_environment(clickhouse)}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.export_process", str(tmp_path / "exports")],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"stalled\n"
            assert (_progress(desk, job).state, _progress(desk, job).slices) == (State.RUNNING, 1)
            with desk.shelf.locked(job.id) as is_ours:
                assert not is_ours, "the other process has it"
        finally:
            process.send_signal(signal.SIGKILL)
    assert _ids_in(_finish(desk, job), Format.CSV) == ids


def test_a_file_that_lost_bytes_is_no_export(
    store: Client, account: str, ids: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk_module, "_FIRST_PAUSE_S", 0)
    desk = _desk(store, tmp_path)
    job = _submit(desk, _request(account))
    _finish(desk, job)
    desk.shelf.file(job.id).write_bytes(b"short")
    desk.shelf.save(job.id, replace(_progress(desk, job), state=State.RUNNING, slices=2))
    _run(desk, lambda: _progress(desk, job).state is State.FAILED, "the export to fail")
    assert "lost" in (_progress(desk, job).error or "")


def test_consoles_that_share_a_directory_write_each_export_once(
    store: Client, account: str, ids: list[str], tmp_path: Path
) -> None:
    producers = [RecordingProducer(), RecordingProducer()]
    desks = [
        _desk(store, tmp_path, producer, exports_per_principal=20, exports_workers=3)
        for producer in producers
    ]
    jobs = [_submit(desks[0], _request(account)) for _ in range(10)]
    for desk in desks:
        desk.start()
    try:
        wait_until(
            lambda: all(not _progress(desks[0], job).state.is_unfinished for job in jobs),
            deadline_s=_DEADLINE_S,
            what="the end of all exports",
        )
    finally:
        for desk in desks:
            desk.stop()
    recorded = [event["targets"][0]["id"] for one in producers for event in _exported(one)]
    assert sorted(recorded) == sorted(job.id for job in jobs)


def test_an_export_that_is_deleted_under_way_is_given_up(
    store: Client, account: str, ids: list[str], tmp_path: Path, producer: RecordingProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    begun, gone = threading.Event(), threading.Event()
    whole = writing_module.ExportStream.slice_chunks

    def slowly(stream: Any, part: Any) -> Iterator[bytes]:
        begun.set()
        assert gone.wait(_DEADLINE_S)
        yield from whole(stream, part)

    monkeypatch.setattr(writing_module.ExportStream, "slice_chunks", slowly)
    desk = _desk(store, tmp_path, producer, exports_workers=1)
    job = _submit(desk, _request(account))
    desk.start()
    try:
        assert begun.wait(_DEADLINE_S)
        desk.shelf.remove(job.id)
        gone.set()
        after = _submit(desk, _request(account))
        wait_until(
            lambda: _progress(desk, after).state is State.FINISHED,
            deadline_s=_DEADLINE_S,
            what="the next export",
        )
    finally:
        gone.set()
        desk.stop()
    assert desk.shelf.ids() == [after.id]
    assert [event["targets"][0]["id"] for event in _exported(producer)] == [after.id]


def test_a_store_that_does_not_answer_is_asked_again_and_then_no_more(
    store: Client, account: str, ids: list[str], tmp_path: Path, producer: RecordingProducer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(desk_module, "_FIRST_PAUSE_S", 0)
    calls: list[int] = []
    whole = writing_module.plan_export

    def failing(client: Client, wanted: Any) -> Any:
        calls.append(1)
        if len(calls) != 3:
            raise OperationalError("no answer")
        return whole(client, wanted)

    monkeypatch.setattr(writing_module, "plan_export", failing)
    desk = _desk(store, tmp_path, producer)
    job = _submit(desk, _request(account))
    assert _ids_in(_finish(desk, job), Format.CSV) == ids
    assert len(calls) == 3
    never = _submit(desk, _request(account))
    _run(desk, lambda: _progress(desk, never).state is State.FAILED, "the export to fail")
    assert len(calls) == 8
    assert "does not answer" in (_progress(desk, never).error or "")
    assert [("error" in event) for event in _exported(producer)] == [False, True]


def test_files_are_deleted_when_they_expire(
    store: Client, account: str, ids: list[str], tmp_path: Path
) -> None:
    desk = _desk(store, tmp_path, exports_keep_hours=1)
    job = _submit(desk, _request(account))
    _finish(desk, job)
    assert desk.find(job.id, _ME.id) is not None
    now = desk.now
    desk.now = lambda: now() + timedelta(hours=1, seconds=1)
    assert desk.find(job.id, _ME.id) is None
    _run(desk, lambda: not desk.shelf.ids(), "the file to be deleted")
    assert not (tmp_path / job.id).exists()


def test_a_streamed_download_leaves_its_manifest(
    client: TestClient, app: FastAPI, account: str, ids: list[str]
) -> None:
    owner, other = (program(app, _token(client, account)) for _ in range(2))
    for kind in Format:
        taken = owner.get(f"/api/v1/events.{kind}")
        id_ = taken.headers["x-auditbus-export-id"]
        manifest = owner.get(f"/api/v1/exports/{id_}/manifest").json()
        assert manifest["sha256"] == hashlib.sha256(taken.content).hexdigest()
        assert manifest["file"] in taken.headers["content-disposition"]
        assert other.get(f"/api/v1/exports/{id_}/manifest").status_code == 404
        export = owner.get(f"/api/v1/exports/{id_}").json()
        assert (export["state"], export["download"], export["rows"]) == ("downloaded", None, 12)
