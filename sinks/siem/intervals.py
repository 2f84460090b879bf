"""A set of whole numbers kept as ranges: millions of offsets cost as much as the gaps in them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

__all__ = ["IntervalSet"]


class IntervalSet:
    """Half-open ranges `[start, end)`, disjoint and never touching."""

    __slots__ = ("_ends", "_starts")

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> None:
        """Add `[start, end)`, joining what it overlaps or touches."""
        if start >= end:
            return
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def discard(self, start: int, end: int) -> None:
        """Remove `[start, end)`, splitting what it cuts."""
        if start >= end:
            return
        first = bisect_right(self._ends, start)
        last = bisect_left(self._starts, end)
        if first >= last:
            return
        left, right = self._starts[first], self._ends[last - 1]
        kept = [(a, b) for a, b in ((left, start), (end, right)) if a < b]
        self._starts[first:last] = [a for a, _ in kept]
        self._ends[first:last] = [b for _, b in kept]

    def end_of(self, number: int) -> int | None:
        """Return the end of the range that holds `number`, or None."""
        at = bisect_right(self._starts, number) - 1
        return self._ends[at] if at >= 0 and number < self._ends[at] else None

    def __contains__(self, number: int) -> bool:
        return self.end_of(number) is not None

    def __bool__(self) -> bool:
        return bool(self._starts)
