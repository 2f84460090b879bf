"""The histogram as bars of an SVG: percent of its width and height, so that it fits any screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from auditbus.console.query.statistics import Bucket
from auditbus.console.web.screen.clock import Clock
from auditbus.console.web.screen.view import View

__all__ = ["Bar", "Chart", "Tick", "chart_of", "grid"]

_EPOCH = datetime.fromtimestamp(0, UTC)
_GAP = 0.22  # of a bar's place
_LEAST_HEIGHT = 2.5  # one event among thousands is still seen
_TICKS = 7
_LAST_TICK = 96  # percent: a label in the middle of a later bar would stick out


@dataclass(frozen=True, slots=True)
class Bar:
    """Events from `start` to `end`; x, width, heights in percent of the chart."""

    start: str
    end: str
    x: float
    width: float
    place_x: float
    place_width: float
    height: float
    failed_height: float
    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label of the time axis."""

    x: float
    anchor: str
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """What the histogram shows."""

    bars: list[Bar]
    ticks: list[Tick]
    most: int
    count: int
    failures: int


def grid(since: datetime, until: datetime, step: timedelta) -> Iterator[datetime]:
    """Yield the start of each bucket of `step` that touches the range, oldest first."""
    start = _EPOCH + (since - _EPOCH) // step * step
    while start < until:
        yield start
        start += step


def chart_of(
    buckets: Iterable[Bucket],
    starts: list[datetime],
    step: timedelta,
    since: datetime,
    view: View,
    clock: Clock,
) -> Chart:
    """Lay out `buckets` on the places of `starts`; one that is missing holds nothing.

    The first bar begins at `since`, so that its address shows what it counts.
    """
    by_start = {bucket.start: bucket for bucket in buckets}
    found = [by_start.get(start, Bucket(start, 0, 0)) for start in starts]
    most = max((bucket.count for bucket in found), default=0)
    place = 100 / max(len(found), 1)
    bars = [
        _bar(bucket, n * place, place, step, since, most, view, clock)
        for n, bucket in enumerate(found)
    ]
    return Chart(
        bars,
        list(_ticks(starts, step, clock)),
        most,
        sum(bucket.count for bucket in found),
        sum(bucket.failures for bucket in found),
    )


def _ticks(starts: list[datetime], step: timedelta, clock: Clock) -> Iterator[Tick]:
    """Name every so-many-th bar below its middle; the first and last keep within the chart."""
    every = max(1, -(-len(starts) // _TICKS))
    named = clock.day if every * step >= timedelta(days=1) else clock.minute
    for n in range(0, len(starts), every):
        x = 100 * (n + 0.5) / len(starts)
        if n == 0:
            yield Tick(0, "start", named(starts[n]))
        elif x < _LAST_TICK:
            yield Tick(round(x, 3), "middle", named(starts[n]))


def _bar(
    bucket: Bucket,
    x: float,
    place: float,
    step: timedelta,
    since: datetime,
    most: int,
    view: View,
    clock: Clock,
) -> Bar:
    start, end = max(bucket.start, since), bucket.start + step
    start_text, end_text = clock.iso(start), clock.iso(end)
    events = f"{bucket.count:,} event{'' if bucket.count == 1 else 's'}"
    failed = f", {bucket.failures:,} failed" if bucket.failures else ""
    return Bar(
        start=start_text,
        end=end_text,
        x=round(x + place * _GAP / 2, 3),
        width=round(place * (1 - _GAP), 3),
        place_x=round(x, 3),
        place_width=round(place, 3),
        height=_height(bucket.count, most),
        failed_height=_height(bucket.failures, most),
        label=f"{clock.minute(start)} to {clock.minute(end)}: {events}{failed}",
        url=view.but(since=start_text, until=end_text).url(),
    )


def _height(count: int, most: int) -> float:
    return round(max(100 * count / most, _LEAST_HEIGHT), 2) if count else 0
