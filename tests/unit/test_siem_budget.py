"""The memory of a forwarder is shared out fairly, and each part is heeded."""

from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.in_flight import InFlight
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.outcomes import Accepted, Delivered
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.sender import Settlement

_MB = 1024 * 1024


def _lane() -> Lane:
    limits = Limits(batch_events=3, batch_bytes=10_000, linger_s=5.0, ordered=False)
    return Lane("t", 0, 0, limits=limits, backoff=Backoff(1.0, 1.0, lambda: 0.0))


def _feed(lane: Lane, *offsets: int) -> None:
    for offset in offsets:
        start = lane.admit(offset)
        assert start is not None
        lane.add(Record(start, offset, offset, None, b"x" * 100, ()), 0.0)


def test_every_destination_has_the_same_part_and_the_sum_is_the_whole() -> None:
    budget = Budget(64 * _MB)
    assert budget.part_bytes == 64 * _MB
    assert budget.queue_bytes == 2 * _MB
    assert budget.unacknowledged_events == 500_000
    budget.divide(20)
    assert budget.part_bytes * 20 <= 64 * _MB < (budget.part_bytes + 1) * 20
    assert budget.queue_bytes == budget.part_bytes // 4
    assert budget.unacknowledged_events * 16 <= budget.part_bytes // 2
    budget.divide(10_000)
    assert budget.queue_bytes == 128 * 1024
    budget.divide(0)
    assert budget.part_bytes == 64 * _MB


def test_a_lane_counts_what_it_holds_and_nothing_once_it_is_taken() -> None:
    lane = _lane()
    assert lane.held_bytes == 0
    _feed(lane, 0, 1, 2)
    assert lane.held_bytes > 300
    lane.take()
    assert lane.held_bytes == 0


def test_over_its_part_a_lane_neither_reads_on_nor_waits_for_a_full_batch() -> None:
    lane = _lane()
    _feed(lane, 0)
    assert not lane.wants_pause(0.0)
    assert lane.wants_pause(0.0, over=True)
    assert not lane.is_ready(0.0)
    assert lane.is_ready(0.0, over=True)


def test_over_its_part_a_lane_still_reads_what_a_batch_to_be_sent_again_lacks() -> None:
    """Else it would wait for ever: nothing of it could go out, so nothing would become free."""
    lane = _lane()
    _feed(lane, 0, 1, 2)
    batch = lane.take()
    lane.land(batch)
    lane.retry(batch, batch.records, now=0.0)
    assert not lane.wants_pause(2.0, over=True)
    _feed(lane, 0, 1)
    assert not lane.is_ready(2.0, over=True)  # the same cut as before
    _feed(lane, 2)
    assert lane.is_ready(2.0)


class _Later:
    """Takes everything, and acknowledges when it is asked."""

    def send(self, batch: Batch) -> Settlement:
        return Settlement(batch, Accepted(Delivered, 60.0), (), ())

    def confirm(self, batch: Batch, _accepted: Accepted) -> Settlement:
        return Settlement(batch, Delivered(), batch.records, ())


def test_no_more_is_sent_once_its_part_waits_for_acknowledgement() -> None:
    budget, lane = Budget(96), _lane()  # room for three events
    flying = InFlight(_Later(), "later", 4, budget)  # type: ignore[arg-type]
    _feed(lane, 0, 1, 2)
    assert flying.has_room
    flying.send(lane, lane.take(), 300)
    assert flying.held_bytes >= 300
    found = flying.take(5.0)
    assert found is not None
    _, settlement = found
    assert flying.held_bytes == 0
    assert isinstance(settlement.outcome, Accepted)
    flying.wait(lane, settlement.batch, settlement.outcome, 0.0)
    assert not flying.has_room
    assert flying.is_waiting_for({lane})
    flying.hurry()
    flying.confirm(0.0)
    assert flying.take(5.0) is not None
    assert flying.has_room
    assert not flying.is_waiting_for({lane})
    flying.close()
