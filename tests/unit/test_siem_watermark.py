"""The committed offset never passes an event that is not settled, whatever happens in between."""

from hypothesis import given
from hypothesis import strategies as st

from auditbus.sinks.siem.intervals import IntervalSet
from auditbus.sinks.siem.watermark import Watermark

_changes = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=40)


@given(_changes)
def test_an_interval_set_is_a_set_of_numbers(changes: list[tuple[bool, int, int]]) -> None:
    intervals, model = IntervalSet(), set[int]()
    for is_added, start, end in changes:
        if is_added:
            intervals.add(start, end)
            model |= set(range(start, end))
        else:
            intervals.discard(start, end)
            model -= set(range(start, end))
        assert {n for n in range(42) if n in intervals} == model
        assert bool(intervals) == bool(model)
        for number in model:
            end_of = intervals.end_of(number)
            assert end_of is not None
            assert end_of not in model
            assert set(range(number, end_of)) <= model


@st.composite
def _histories(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Requests over consecutive ranges that succeed, fail and come again, in any order."""
    return draw(
        st.lists(
            st.tuples(
                st.sampled_from(["take", "settle", "release"]),
                st.integers(0, 30),
                st.integers(1, 6),
            ),
            max_size=60,
        )
    )


@given(_histories())
def test_the_position_is_the_first_offset_that_is_not_settled(
    history: list[tuple[str, int, int]],
) -> None:
    watermark = Watermark(0)
    settled, taken = set[int](), set[int]()
    for what, start, length in history:
        span = set(range(start, start + length))
        before = watermark.position
        if what == "take":
            if not all(watermark.is_open(n) for n in span):
                continue  # the lane takes only what is open
            watermark.take(start, start + length)
            taken |= span
        elif what == "settle":
            watermark.settle(start, start + length)
            settled |= span
            taken -= span
        else:
            watermark.release(start, start + length)
            taken -= span
        assert watermark.position >= before
        assert watermark.position == min(set(range(40)) - settled)
        for n in range(40):
            assert watermark.is_open(n) == (n not in settled and n not in taken)


def test_a_later_success_does_not_carry_the_commit_past_an_earlier_failure() -> None:
    """vector#24543: batch N fails for good, N+1 succeeds."""
    watermark = Watermark(100)
    watermark.take(100, 110)
    watermark.take(110, 120)
    watermark.settle(110, 120)
    watermark.release(100, 110)
    assert watermark.position == 100
    assert watermark.is_open(105)
    watermark.settle(100, 110)
    assert watermark.position == 120
