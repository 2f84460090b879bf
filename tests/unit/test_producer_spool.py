"""The spool's parts: frames on disk, lanes and their locks, limits, permissions."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.producers import AuditProducer, DeliveryFailed, SettingsError, Spool, SpoolFull
from auditbus.producers.delivery import DeliveryLedger
from auditbus.producers.spool.lane import Lane
from auditbus.producers.spool.segment import frame, frames, header, scan
from auditbus.producers.spool.store import SpoolStore
from tests.pipeline import wait_until

NOBODY = "127.0.0.1:9"
QUIET = {"log_level": 0}
NOW_MS = 1_795_000_000_000

events = st.lists(st.tuples(st.binary(max_size=300), st.binary(max_size=20)), max_size=12)


@given(events)
def test_frames_come_back_as_they_were_written(given_events: list[tuple[bytes, bytes]]) -> None:
    data = b"".join(frame(value, key, NOW_MS) for value, key in given_events)
    found = list(frames(data, 100))
    assert [(item.value, item.key) for item in found] == given_events
    assert all(item.spooled_at_ms == NOW_MS for item in found)
    assert not found or found[-1].end == 100 + len(data)


@given(events, st.data())
def test_a_segment_cut_or_changed_anywhere_gives_a_prefix_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory,
    given_events: list[tuple[bytes, bytes]],
    data: st.DataObject,
) -> None:
    whole = header("t") + b"".join(frame(value, key, NOW_MS) for value, key in given_events)
    at = data.draw(st.integers(0, len(whole)))
    tail = data.draw(st.binary(max_size=40) | st.just(b"\x00" * 64))
    path = tmp_path_factory.mktemp("segment") / "1.seg"
    path.write_bytes(whole[:at] + tail)
    found = scan(path)
    if found is None:
        assert at < len(header("t"))
        return
    kept = path.read_bytes()[found.start : found.size_bytes]
    read = [(item.value, item.key) for item in frames(kept, 0)]
    assert len(read) == found.frames
    # What follows the cut may happen to continue the event that was cut, and no other.
    assert read == given_events[: len(read)]
    assert found.size_bytes + found.torn_bytes == at + len(tail)


def _store(directory: Path, name: str = "one", **options: Any) -> SpoolStore:
    return SpoolStore(Spool(directory, **options), "t", name, DeliveryLedger(has_spool=True))


def _append(store: SpoolStore, value: bytes, now_ms: int = NOW_MS) -> None:
    store.append(frame(value, b"key", now_ms), 1, now_ms)


def _values(store: SpoolStore, oldest_ms: int = 0) -> list[bytes]:
    found: list[bytes] = []
    while records := store.read(oldest_ms):
        found += [value for _, value, _, _ in records]
    return found


def test_a_store_is_read_in_order_across_segments_and_again_after_a_rewind(tmp_path: Path) -> None:
    store = _store(tmp_path, max_bytes=10_000_000)
    wanted = [b"%d" % number * 100 for number in range(5_000)]
    for value in wanted:
        _append(store, value)
    assert len(list(tmp_path.glob("*/*.seg"))) > 1
    assert _values(store) == wanted
    assert store.unread_bytes == 0
    store.rewind()
    assert _values(store) == wanted
    store.close()


def test_only_what_was_answered_is_deleted_from_the_head(tmp_path: Path) -> None:
    store = _store(tmp_path, max_bytes=1)  # segments of 64 KiB; the limit is tested elsewhere
    object.__setattr__(store._options, "max_bytes", 10_000_000)
    for _ in range(30):
        _append(store, b"x" * 10_000)
    records = []
    while found := store.read(0):
        records += found
    store.seal()
    first, second = store._segments[:2]
    for *_, handover in records:
        if handover is second.handover:
            handover(None, None)  # type: ignore[arg-type] -- acknowledged
    store.reclaim(0)
    assert store._segments[0] is first  # the second is answered, the first is not
    assert first.handover is not None
    for _ in range(first.frames):
        first.handover(None, None)  # type: ignore[arg-type]
    store.reclaim(0)
    assert first not in store._segments
    assert second not in store._segments
    assert not first.path.exists()
    assert store.bytes == sum(path.stat().st_size for path in tmp_path.glob("*/*.seg"))
    store.close()


def test_what_is_too_old_is_dropped_and_counted(tmp_path: Path) -> None:
    store = _store(tmp_path)
    _append(store, b"old", NOW_MS - 10)
    _append(store, b"new", NOW_MS)
    assert _values(store, oldest_ms=NOW_MS) == [b"new"]
    assert store._ledger.dropped == 1
    assert store.events == 1
    store.close()


def test_segments_too_old_are_deleted_unread_and_the_reader_goes_on_behind_them(
    tmp_path: Path,
) -> None:
    store = _store(tmp_path)
    for number, age_ms in enumerate((20, 10, 0)):
        _append(store, b"%d" % number, NOW_MS - age_ms)
        store.seal()
    store.reclaim(NOW_MS)
    assert store._ledger.dropped == 2
    assert len(list(tmp_path.glob("*/*.seg"))) == 1
    assert _values(store) == [b"2"]
    assert not store.is_too_old(NOW_MS)
    assert store.is_too_old(NOW_MS + 1)  # handed over, not answered
    store.rewind()
    assert not store.is_too_old(NOW_MS + 1)  # to be passed over when it is read again
    assert _values(store, oldest_ms=NOW_MS + 1) == []
    store.reclaim(NOW_MS + 1)
    assert store.bytes == 0
    store.close()


def test_damage_on_the_disk_costs_the_rest_of_that_segment_and_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = _store(tmp_path)
    for value in (b"first", b"second", b"third"):
        _append(store, value)
    (path,) = tmp_path.glob("*/*.seg")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"second", b"sEcond"))
    store.seal()
    _append(store, b"fourth")
    assert _values(store) == [b"first", b"fourth"]
    assert store._ledger.dropped == 2
    assert "is damaged at byte" in caplog.text
    store.close()


def test_directories_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = _store(tmp_path / "spool")
        _append(store, b"x")
    finally:
        os.umask(before)
    found = [tmp_path / "spool", *(tmp_path / "spool").rglob("*")]
    assert len(found) == 4
    for path in found:
        wanted = 0o700 if path.is_dir() else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == wanted, path
    store.close()


def test_a_living_lane_is_left_alone_and_a_dead_one_is_adopted_once(tmp_path: Path) -> None:
    living = _store(tmp_path, "living")
    _append(living, b"x")
    second = _store(tmp_path, "second")
    assert not second.claim()
    living.close()  # as its death does: the lock is gone
    third = _store(tmp_path, "third")
    assert second.claim()
    assert not third.claim()
    second.adopt_claimed()
    assert second.events == 1
    assert _values(second) == [b"x"]
    third.close()
    second.close()
    assert [path.name for path in tmp_path.iterdir()] == ["living.lane"]


def test_a_lane_that_was_removed_between_the_look_and_the_lock_is_not_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lane = Lane.create(tmp_path, "x")
    opened = os.open(lane.path / "owner.lock", os.O_RDWR)
    lane.remove()
    (tmp_path / "x.lane").mkdir()
    (tmp_path / "x.lane/owner.lock").touch()
    monkeypatch.setattr(os, "open", lambda *_: opened)
    assert Lane._claim(tmp_path / "x.lane") is None


def test_a_failed_write_is_cut_off_and_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path)
    _append(store, b"kept")
    real = os.write

    def half(descriptor: int, data: bytes) -> int:
        if len(data) < 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data[: len(data) - 5])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(SpoolFull, match="No space left"):
            _append(store, b"lost")
    _append(store, b"after")
    assert _values(store) == [b"kept", b"after"]
    store.close()


@pytest.mark.parametrize(
    "wrong",
    [{"max_bytes": 0}, {"max_age_s": 0}, {"after_s": -1}, {"sync_s": -1}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_wrong_options_are_named(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        Spool(tmp_path, **wrong)


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"Spool directory: .*file"):
        AuditProducer(NOBODY, spool=Spool(tmp_path / "file"), options=QUIET)


def test_without_a_broker_everything_is_spooled_and_close_loses_nothing(tmp_path: Path) -> None:
    with AuditProducer(NOBODY, spool=Spool(tmp_path, after_s=0.1), options=QUIET) as producer:
        taken = [producer.emit(action="Login", metadata={"n": n}) for n in range(50)]
        wait_until(lambda: all(item.spooled for item in taken), deadline_s=20, what="spooled")
        taken += [producer.emit(action="Logout", metadata={"n": n}) for n in range(50, 100)]
        found = producer.metrics()
        assert (found.accepted, found.spooled_events, found.waiting_events) == (100, 100, 0)
        assert found.oldest_waiting_s > 0
        producer.flush(5)
        assert all(item.done and item.exception is None for item in taken)
    heir = _store(tmp_path)
    heir.claim()
    heir.adopt_claimed()
    read = [orjson.loads(value) for value in _values(heir)]
    assert [event["metadata"]["n"] for event in read] == list(range(100))
    assert [event["producer"]["seq"] for event in read] == list(range(1, 101))
    heir.close()


def test_close_spools_what_is_still_in_memory(tmp_path: Path) -> None:
    producer = AuditProducer(NOBODY, spool=Spool(tmp_path, after_s=60), options=QUIET)
    taken = [producer.emit(action="Login") for _ in range(5)]
    producer.close(timeout_s=0.1)
    assert all(item.spooled for item in taken)


def test_an_event_that_must_not_be_spooled_is_told_at_close(tmp_path: Path) -> None:
    producer = AuditProducer(NOBODY, spool=Spool(tmp_path, after_s=60), options=QUIET)
    with pytest.raises(DeliveryFailed):
        producer.emit(action="Login", delivery="fail_closed", timeout_s=0.05)
    with contextlib.suppress(DeliveryFailed):  # its caller knows already
        producer.close(timeout_s=0.1)
    assert not list(tmp_path.glob("*/*.seg"))


def test_synced_before_emit_returns_where_that_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("auditbus.producers.spool.writer._datasync", synced.append)
    store = _store(tmp_path, sync_s=0)
    _append(store, b"x")
    assert len(synced) == 1
    lazy = _store(tmp_path, "lazy")
    _append(lazy, b"x")
    assert len(synced) == 1
    lazy.sync()
    assert len(synced) == 2
    for item in (store, lazy):
        item.close()


def test_an_event_that_could_not_be_synced_where_that_is_asked_was_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = _store(tmp_path, sync_s=0)
    _append(store, b"kept")

    def fail(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("auditbus.producers.spool.writer._datasync", fail)
        with pytest.raises(SpoolFull, match="Input/output"):
            _append(store, b"lost")
    _append(store, b"after")
    assert _values(store) == [b"kept", b"after"]
    assert store.events == 2
    store.close()


def test_expiry_makes_room_while_kafka_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool(tmp_path, after_s=0.1, max_age_s=0.5, max_bytes=300_000)
    producer = AuditProducer(NOBODY, spool=spool, options=QUIET)
    first = producer.emit(action="Login")
    first.wait(20)
    assert first.spooled
    text = "x" * 5_000

    def is_taken() -> bool:
        try:
            producer.emit(action="Logout", description=text)
        except SpoolFull:
            return False
        return True

    wait_until(lambda: not is_taken(), deadline_s=20, what="it is full")
    wait_until(is_taken, deadline_s=20, what="room")
    assert producer.metrics().dropped > 0
    producer.close(timeout_s=0)
    assert "spooled audit events dropped: too old" in caplog.text


def test_what_is_adopted_while_events_are_in_flight_is_not_passed_over(tmp_path: Path) -> None:
    dead = _store(tmp_path, "dead")
    for number in range(10):
        _append(dead, b"%d" % number, time.time_ns() // 1_000_000)
    producer = AuditProducer(NOBODY, spool=Spool(tmp_path, after_s=60), options=QUIET)
    for _ in range(5):
        producer.emit(action="Login")  # straight to librdkafka: the lane of `dead` is alive yet
    outbox: Any = producer._outbox
    assert outbox._live.is_set()
    dead.close()
    outbox._adopted_at_s = 0.0  # a look is due
    wait_until(lambda: producer.metrics().spooled_events == 15, deadline_s=20, what="adopted")
    wait_until(lambda: len(outbox._link) >= 15, deadline_s=20, what="all handed over")
    assert all(segment.handover is not None for segment in outbox._store._segments)
    producer.close(timeout_s=0)
    heir = _store(tmp_path, "heir")
    assert heir.claim()
    heir.adopt_claimed()
    assert heir.events == 15
    heir.close()


def test_a_spool_that_has_room_for_some_takes_some(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=100_000, after_s=2)
    producer = AuditProducer(NOBODY, spool=spool, options=QUIET)
    taken = [producer.emit(action="Login", description="x" * 1_000) for _ in range(200)]
    wait_until(lambda: producer.metrics().spooled_events > 50, deadline_s=20, what="some spooled")
    with pytest.raises(DeliveryFailed) as lost:
        producer.close(timeout_s=0)
    kept = [item for item in taken if item.spooled]
    assert taken[: len(kept)] == kept  # the oldest
    assert all(item.done for item in taken)
    assert lost.value.count == len(taken) - len(kept)
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.seg")) <= 100_000
