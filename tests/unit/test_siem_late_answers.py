"""A batch that is acknowledged later: what its answer counts in, and what is kept meanwhile."""

import sys
from collections.abc import Callable
from typing import Any, cast

from auditbus.runtime.dead_letters import DeadLetter, DeadLetterWriter
from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.destination import (
    Destination,
    DestinationKind,
    DestinationSettings,
    Parcel,
)
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.outcomes import Accepted, Delivered, Failed, Outcome
from auditbus.sinks.siem.records import Offsets, Record, ranges
from auditbus.sinks.siem.sender import Sender


class _Letters:
    """Takes dead letters at once, which Kafka does in the tests on it."""

    def __init__(self) -> None:
        self.written: list[DeadLetter] = []

    def write(self, letter: DeadLetter) -> None:
        self.written.append(letter)

    def flush(self, _timeout_s: float) -> None: ...


class _Client:
    def __init__(self, confirm: Callable[[], Outcome]) -> None:
        self._confirm = confirm

    def deliver(self, _parcel: Parcel) -> Outcome:
        return Accepted(self._confirm, 1.0)

    def probe(self) -> Outcome:
        return Delivered()

    def close(self) -> None: ...


def _sender(confirm: Callable[[], Outcome], letters: _Letters) -> Sender:
    kind = DestinationKind(DestinationSettings, lambda _: None, ordered=False)  # type: ignore[arg-type,return-value]
    destination = Destination("late", kind, DestinationSettings(type="late"))
    return Sender(destination, _Client(confirm), cast("DeadLetterWriter", letters))


def _lane(values: list[bytes]) -> Lane:
    lane = Lane("t", 0, 0, limits=Limits(10, 10_000, 0, ordered=False), backoff=Backoff(1.0, 1.0))
    for offset, value in enumerate(values):
        start = lane.admit(offset)
        assert start is not None
        lane.add(Record(start, offset, 5, None, value, ()), 0.0)
    return lane


def test_an_answer_counts_in_what_was_sent_not_in_what_could_not_be() -> None:
    letters = _Letters()
    sender = _sender(lambda: Delivered(again=frozenset({1})), letters)
    lane = _lane([b"garbage", b'{"n":1}', b'{"n":2}', b'{"n":3}'])
    batch = lane.take()
    sent = sender.send(batch)
    assert [letter.value for letter in letters.written] == [b"garbage"]
    assert [record.offset for record in sent.done] == [0]
    lane.settle(sent.done)
    assert lane.watermark.position == 1
    assert isinstance(sent.outcome, Accepted)
    heard = sender.confirm(sent.batch, sent.outcome)
    assert [record.offset for record in heard.done] == [1, 3]
    assert [record.offset for record in heard.again] == [2]
    lane.settle(heard.done)
    lane.land(heard.batch)
    lane.retry(heard.batch, heard.again, 0.0)
    assert lane.watermark.position == 2
    assert lane.take_seek(0.0) == 2
    assert lane.oldest_ms == 5  # the one that is sent again; the request itself is over
    assert lane.admit(2) == 2
    assert lane.admit(3) is None


def test_what_is_never_acknowledged_is_all_sent_again() -> None:
    sender = _sender(lambda: Failed("ack_timeout", "no"), _Letters())
    lane = _lane([b"{}", b"{}"])
    sent = sender.send(lane.take())
    heard = sender.confirm(sent.batch, cast("Accepted", sent.outcome))
    assert [record.offset for record in heard.again] == [0, 1]
    assert not heard.done


def test_what_waits_costs_sixteen_bytes_an_event() -> None:
    records = [Record(n, n, 7, b"key", b"x" * 500, ()) for n in range(10_000)]
    kept: Any = Offsets(records)
    size = sys.getsizeof(kept._starts) + sys.getsizeof(kept._offsets)
    assert size < 17 * len(records)
    assert list(ranges(kept)) == [(0, 10_000)]
    assert [record.offset for record in kept[5:8]] == [5, 6, 7]
    assert kept[9_999].value is None
    assert kept[0].timestamp_ms == 7


def test_requests_that_fail_together_count_once_for_the_backoff() -> None:
    lane = Lane("t", 0, 0, limits=Limits(1, 10_000, 0, ordered=False), backoff=Backoff(1.0, 64.0))
    for offset in range(20):
        lane.admit(offset)
        lane.add(Record(offset, offset, 5, None, b"{}", ()), 0.0)
    batches = [lane.take() for _ in range(20)]
    for batch in batches:
        lane.land(batch)
        lane.retry(batch, batch.records, 0.0)
    lane.admit(0)
    lane.add(Record(0, 0, 5, None, b"{}", ()), 0.0)
    assert lane.is_ready(1.0)
