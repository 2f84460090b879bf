"""The sink's parts by themselves."""

import threading
from collections.abc import Sequence

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from auditbus.sinks.clickhouse.batch import Batch, deduplication_token
from auditbus.sinks.clickhouse.bisect import store_or_reject
from auditbus.sinks.clickhouse.error_codes import (
    ServerCode,
    Verdict,
    classify,
    code_name,
    describe,
    reason_of,
)
from auditbus.sinks.clickhouse.worker import Worker
from auditbus.sinks.clickhouse.writer import InsertFailed, row_binary


class Record:
    """As much of a Kafka message as a batch asks for; the real one cannot be made by hand."""

    def __init__(self, partition: int, offset: int, value: bytes | None = b"v") -> None:
        self.partition = lambda: partition
        self.offset = lambda: offset
        self.value = lambda: value


def records(*places: tuple[int, int]) -> list[Record]:
    return [Record(partition, offset) for partition, offset in places]


def test_each_value_is_framed_by_its_length() -> None:
    values = [b"", b"a" * 127, b"b" * 128, b"c" * 300_000]
    encoded = row_binary(values)
    expected = b"\x00" + b"\x7f" + values[1] + b"\x80\x01" + values[2] + b"\xe0\xa7\x12" + values[3]
    assert encoded == expected


def test_a_batch_knows_what_to_commit_and_what_it_weighs() -> None:
    batch = Batch()
    batch.extend([Record(0, 5, b"abc"), Record(1, 9, None), Record(0, 7, b""), Record(0, 8, b"d")])
    assert batch.next_offsets == {0: 9, 1: 10}
    assert (len(batch), len(batch.records), batch.size_bytes) == (4, 2, 4)
    batch.drop({0})
    assert batch.next_offsets == {1: 10}
    assert (len(batch), batch.size_bytes) == (1, 0)


def test_a_token_names_the_topic_and_the_offsets() -> None:
    run = records((0, 5), (3, 1), (0, 6), (3, 2), (0, 7))
    assert deduplication_token("id", run) == "id:0=5-7,3=1-2"
    assert deduplication_token("id", run[:3]) == "id:0=5-6,3=1-1"
    assert deduplication_token("other", run) != deduplication_token("id", run)


@pytest.mark.parametrize("bad", [set(), {0}, {99}, {0, 1, 50, 98, 99}, set(range(100))])
def test_bisecting_stores_all_but_the_bad(bad: set[int]) -> None:
    stored: list[int] = []
    calls = 0

    def insert(run: Sequence[Record]) -> None:
        nonlocal calls
        calls += 1
        offsets = [record.offset() for record in run]
        if bad.intersection(offsets):
            raise InsertFailed(Verdict.POISON, 395, "bad", reason="a field has the wrong type")
        stored.extend(offsets)

    rejected = store_or_reject(records(*((0, n) for n in range(100))), insert)
    assert [item.record.offset() for item in rejected] == sorted(bad)
    assert stored == [n for n in range(100) if n not in bad]
    assert calls <= 1 + 2 * len(bad) * 7


def test_bisecting_passes_on_what_is_no_rows_fault() -> None:
    def insert(_run: Sequence[Record]) -> None:
        raise InsertFailed(Verdict.RETRY, 241, "memory")

    with pytest.raises(InsertFailed, match="memory"):
        store_or_reject(records((0, 1)), insert)


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (ServerCode.FUNCTION_THROW_IF_VALUE_IS_NON_ZERO, Verdict.POISON),
        (ServerCode.CANNOT_PARSE_UUID, Verdict.POISON),
        (ServerCode.UNKNOWN_TABLE, Verdict.STOP),
        (ServerCode.ACCESS_DENIED, Verdict.STOP),
        (ServerCode.TOO_MANY_PARTS, Verdict.RETRY),
        (ServerCode.NOT_ENOUGH_SPACE, Verdict.RETRY),
        (ServerCode.TABLE_IS_READ_ONLY, Verdict.RETRY),
        (ServerCode.MEMORY_LIMIT_EXCEEDED, Verdict.RETRY),
        (999_999, Verdict.RETRY),
        (None, Verdict.RETRY),
    ],
)
def test_a_code_says_what_to_do(code: int | None, verdict: Verdict) -> None:
    assert classify(code) is verdict


def test_labels_are_bounded() -> None:
    assert code_name(241) == "memory_limit_exceeded"
    assert code_name(999_999) == "code_999999"
    assert code_name(None) == "unreachable"


@pytest.mark.parametrize(
    "text",
    [
        "Code: 41. DB::Exception: Cannot read DateTime. Column values: ann@example.org",
        "Code: 376. DB::Exception: Cannot parse uuid ann@example.org: Cannot parse UUID",
        "Code: 27. DB::Exception: Cannot parse input: expected '\"' before: 'ann@example.org'",
        (
            "Received ClickHouse exception, code: 395, server response: Code: 395. DB::Exception: "
            "a field has the wrong type: while executing 'FUNCTION throwIf(ann@example.org)'"
        ),
    ],
)
def test_no_row_is_quoted(text: str) -> None:
    for code in (395, 376):
        error = DatabaseError(text, code=code)
        assert "ann@" not in describe(error) + reason_of(error)


def test_the_views_own_words_are_kept() -> None:
    text = "Code: 395. DB::Exception: a field has the wrong type: while executing 'FUNCTION …'"
    error = DatabaseError(text, code=395)
    assert describe(error) == "a field has the wrong type"
    assert "a field has the wrong type" in reason_of(error)


def test_a_worker_hands_its_failure_over_once() -> None:
    release = threading.Event()

    def work(job: str) -> None:
        assert release.wait(5)
        raise ValueError(job)

    worker: Worker[str] = Worker(work)
    worker.start()
    worker.submit("first")
    assert not worker.wait(0)
    release.set()
    assert worker.wait(5)
    with pytest.raises(ValueError, match="first"):
        worker.raise_failure()
    worker.raise_failure()
