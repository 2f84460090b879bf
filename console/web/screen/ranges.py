"""Ranges of time: those offered, and the one that a view covers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from auditbus.console.query import EventFilter
from auditbus.console.web.screen.clock import Clock
from auditbus.console.web.screen.view import ALL_TIME, DEFAULT_SINCE, View

__all__ = ["PRESETS", "Choice", "choices", "range_label", "step_of"]

PRESETS = {
    "1h": "Last hour",
    "24h": "Last 24 hours",
    "7d": "Last 7 days",
    "30d": "Last 30 days",
    "90d": "Last 90 days",
    ALL_TIME: "All time",
}
_MOST_BARS = 60
_STEPS = tuple(
    timedelta(minutes=minutes)
    for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 10_080, 43_200)
)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the things that a switch offers."""

    label: str
    url: str
    is_current: bool


def choices(view: View) -> list[Choice]:
    """Return the ranges that the menu offers."""
    chosen = _preset(view)
    return [
        Choice(label, view.but(since=_since(key), until=None).url(), key == chosen)
        for key, label in PRESETS.items()
    ]


def range_label(view: View, wanted: EventFilter | None, clock: Clock) -> str:
    """Say in words which range `view` covers."""
    if preset := _preset(view):
        return PRESETS[preset]
    if wanted is None:
        return "Custom range"
    since, until = (moment and clock.minute(moment) for moment in (wanted.since, wanted.until))
    if since and until:
        return f"{since} to {until}"
    return f"Since {since}" if since else f"Until {until}"


def step_of(span: timedelta) -> timedelta:
    """Return the width of a bar, so that `span` has some sixty bars at most."""
    return next((step for step in _STEPS if span / step <= _MOST_BARS), span / _MOST_BARS)


def _preset(view: View) -> str | None:
    if view.one("until"):
        return None
    since = view.one("since") or DEFAULT_SINCE
    return since if since in PRESETS else None


def _since(preset: str) -> str | None:
    return None if preset == DEFAULT_SINCE else preset
