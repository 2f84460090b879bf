"""A lane cuts, rewinds and skips; a simulated partition shows that nothing is passed over."""

from hypothesis import given, settings
from hypothesis import strategies as st

from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.records import Batch, Record


def _lane(
    *, ordered: bool = True, events: int = 3, size: int = 10_000, linger_s: float = 0
) -> Lane:
    limits = Limits(events, size, linger_s, ordered)
    return Lane("t", 0, 0, limits=limits, backoff=Backoff(1.0, 1.0, lambda: 0.0))


def _feed(lane: Lane, *offsets: int, now: float = 0.0, size: int = 1) -> None:
    for offset in offsets:
        start = lane.admit(offset)
        if start is not None:
            lane.add(Record(start, offset, offset, None, b"x" * size, ()), now)


def _offsets(batch: Batch) -> list[int]:
    return [record.offset for record in batch.records]


def test_batches_end_at_the_limits() -> None:
    lane = _lane(ordered=False)
    _feed(lane, 0, 1, 2, 3)
    assert _offsets(lane.take()) == [0, 1, 2]
    assert _offsets(lane.take()) == [3]
    by_bytes = _lane(ordered=False, events=100, size=10)
    _feed(by_bytes, 0, 1, 2, size=6)
    assert _offsets(by_bytes.take()) == [0]
    lonely = _lane(size=10)
    _feed(lonely, 0, size=50)
    assert _offsets(lonely.take()) == [0]


def test_a_batch_lingers_for_more_events_unless_it_is_full() -> None:
    lane = _lane(linger_s=5.0)
    _feed(lane, 0, now=100.0)
    assert not lane.is_ready(104.9)
    assert lane.is_ready(105.0)
    _feed(lane, 1, 2, now=101.0)
    assert lane.is_ready(101.0)


def test_ordered_means_one_request_at_a_time() -> None:
    lane = _lane()
    _feed(lane, 0, 1, 2, 3, 4, 5)
    batch = lane.take()
    assert not lane.is_ready(0.0)
    lane.settle(batch.records)
    lane.land(batch)
    assert lane.is_ready(0.0)


def test_a_retry_reads_again_and_cuts_the_same() -> None:
    lane = _lane()
    _feed(lane, 0, 1, 2, 3)
    batch = lane.take()
    lane.land(batch)
    lane.retry(batch, batch.records, now=10.0)
    assert lane.take_seek(0.0) == 0
    assert lane.take_seek(0.0) is None
    _feed(lane, 4, 5, 6)  # fetched before the seek: must not pass for what comes next
    assert lane.read_next == 0
    _feed(lane, 0, 1)
    assert not lane.is_ready(99.0)
    _feed(lane, 2, 3)
    assert not lane.is_ready(10.4)  # backoff: half a second at least
    assert lane.is_ready(11.0)
    again = lane.take()
    assert (_offsets(again), again.attempts) == ([0, 1, 2], 1)


def test_only_what_failed_of_a_batch_is_sent_again() -> None:
    lane = _lane(ordered=False, events=5)
    _feed(lane, *range(10))
    batch, other = lane.take(), lane.take()
    lane.land(batch)
    lane.settle([batch.records[0], batch.records[2], batch.records[4]])
    lane.retry(batch, [batch.records[1], batch.records[3]], now=0.0)
    assert lane.watermark.position == 1
    assert lane.take_seek(0.0) == 1
    _feed(lane, *range(1, 12))
    assert _offsets(lane.take()) == [1, 3]
    assert _offsets(other) == [5, 6, 7, 8, 9]  # under way: not read into another request
    assert lane.is_ready(9.0)
    assert _offsets(lane.take()) == [10, 11]


def test_a_blamed_batch_is_halved_down_to_the_event() -> None:
    lane = _lane(events=4)
    _feed(lane, 0, 1, 2, 3)
    batch = lane.take()
    lane.land(batch)
    lane.split(batch.records)
    _feed(lane, 0, 1, 2, 3)
    half = lane.take()
    assert (_offsets(half), half.suspect) == ([0, 1], True)
    lane.land(half)
    lane.split(half.records)
    _feed(lane, 0, 1, 2, 3)
    taken = []
    while lane.is_ready(0.0):
        one = lane.take()
        taken.append(_offsets(one))
        lane.settle(one.records)
        lane.land(one)
    assert taken == [[0], [1], [2, 3]]
    assert lane.watermark.position == 4


def test_gaps_in_the_offsets_are_settled_with_the_record_after_them() -> None:
    lane = _lane()
    _feed(lane, 5, 9, 10)
    batch = lane.take()
    lane.settle(batch.records)
    lane.land(batch)
    assert lane.watermark.position == 11


def test_a_lane_that_sheds_reads_again() -> None:
    lane = _lane()
    _feed(lane, 0, 1, 2, 3)
    batch = lane.take()
    lane.shed()
    assert lane.take_seek(0.0) == 3
    lane.settle(batch.records)
    lane.land(batch)
    _feed(lane, 3)
    assert _offsets(lane.take()) == [3]


def test_a_lane_pauses_when_it_has_enough_and_through_a_backoff() -> None:
    lane = _lane()
    _feed(lane, 0, 1, 2)
    batch = lane.take()
    _feed(lane, *range(3, 8))
    assert not lane.wants_pause(0.0)
    _feed(lane, 8)
    assert lane.wants_pause(0.0)
    lane.land(batch)
    lane.retry(batch, batch.records, now=0.0)
    assert lane.wants_pause(0.1)
    assert not lane.wants_pause(1.0)


@settings(max_examples=300)
@given(st.data())
def test_every_record_is_settled_once_the_destination_recovers(data: st.DataObject) -> None:
    """A partition with gaps; requests fail, are blamed, succeed in part, in any order."""
    total = 25
    offsets = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    lane = _lane(ordered=data.draw(st.booleans()), events=4)
    done: list[int] = []
    flying: list[Batch] = []
    cursor = now = 0.0
    for step in range(400):
        now += 1.0
        if (sought := lane.take_seek(0.0)) is not None:
            cursor = sought
        if not lane.wants_pause(now):
            ahead = [o for o in offsets if o >= cursor][: data.draw(st.integers(1, 6))]
            _feed(lane, *ahead, now=now)
            cursor = max([cursor, *(o + 1 for o in ahead)])
        while lane.is_ready(now):
            batch = lane.take()
            assert batch.records
            flying.append(batch)
        if flying:
            batch = flying.pop(data.draw(st.integers(0, len(flying) - 1)))
            lane.land(batch)
            fate = (
                data.draw(st.sampled_from(["ok", "fail", "split", "part"])) if step < 60 else "ok"
            )
            again = {
                "ok": (),
                "fail": batch.records,
                "split": batch.records,
                "part": batch.records[::2],
            }[fate]
            good = [r for r in batch.records if r not in again]
            lane.settle(good)
            done += [r.offset for r in good]
            if fate == "split" and len(again) > 1:
                lane.split(again)
            elif again:
                lane.retry(batch, again, now)
        open_offsets = set(offsets) - set(done)
        assert lane.watermark.position <= min(open_offsets, default=total)
        if not open_offsets:
            break
    assert sorted(done) == offsets  # each once, none missing
    assert lane.watermark.position == offsets[-1] + 1


def test_a_seek_that_came_to_nothing_is_repeated() -> None:
    """Everything but the record asked for is turned away: without it, a lost seek was the end."""
    lane = _lane()
    _feed(lane, 0, 1, 2)
    batch = lane.take()
    lane.land(batch)
    lane.retry(batch, batch.records, now=10.0)
    assert lane.take_seek(10.0) == 0
    _feed(lane, 3, 4)
    assert lane.take_seek(14.9) is None
    assert lane.take_seek(15.1) == 0
    assert lane.take_seek(15.2) is None
    _feed(lane, 0)
    assert lane.take_seek(99.0) is None


def test_a_rewind_keeps_what_waits_below_it() -> None:
    """The buffer was dropped whole, and what lay in it below the rewind was never read again."""
    lane = _lane(ordered=False)
    _feed(lane, 0, 1, 2, 3, 4, 5)
    low, high = lane.take(), lane.take()
    lane.land(low)
    lane.settle(low.records[1:])
    lane.retry(low, low.records[:1], now=0.0)
    assert lane.take_seek(0.0) == 0
    _feed(lane, 0, 1, 2, 3, 4, 5)  # 0 waits in the buffer, 3 to 5 are still in a request
    lane.land(high)
    lane.retry(high, high.records, now=0.0)
    assert lane.take_seek(0.0) == 0
