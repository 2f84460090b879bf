"""Tell whether an event holds what a test expects, and show how the closest one differs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any

__all__ = ["explained", "matches", "shown"]

Event = dict[str, Any]


def matches(actual: Any, expected: Any) -> bool:
    """Tell whether `actual` holds `expected`: objects member by member, functions by asking."""
    if callable(expected):
        return bool(expected(actual))
    if isinstance(expected, Mapping):
        return isinstance(actual, dict) and all(
            matches(actual.get(name), value) for name, value in expected.items()
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(map(matches, actual, expected))
        )
    return type(actual) is type(expected) and bool(actual == expected)


def explained(
    events: list[Event], matching: list[Event], expected: Event, count: int | None
) -> str:
    """Return why `expected` was not met, with how the closest event differs."""
    if not events:
        return f"no audit event was recorded; expected:\n{shown(expected)}"
    if matching:
        return f"{len(matching)} audit events match, expected {count}:\n{shown(expected)}"
    closest = max(events, key=lambda event: _likeness(event, expected))
    wanted, found = shown(_readable(expected)), shown(_shaped(closest, expected))
    diff = "\n".join(
        line
        for line in difflib.ndiff(wanted.splitlines(), found.splitlines())
        if not line.startswith("?")
    )
    actions = ", ".join(str(event.get("action")) for event in events[:20])
    return (
        f"no audit event matches ({len(events)} recorded: {actions}).\n"
        f"The closest (- expected, + recorded):\n{diff}"
    )


def _likeness(actual: Any, expected: Any) -> float:
    """Return how much of `expected` is there, 0 to 1; the action counts most."""
    if isinstance(expected, Mapping) and expected and isinstance(actual, dict):
        weights = {name: 3 if name == "action" else 1 for name in expected}
        got = sum(weights[name] * _likeness(actual.get(name), expected[name]) for name in expected)
        return got / sum(weights.values())
    return float(matches(actual, expected))


def _shaped(actual: Any, expected: Any) -> Any:
    """Return the part of `actual` that `expected` speaks of."""
    if isinstance(expected, Mapping) and isinstance(actual, dict):
        return {
            name: _shaped(actual[name], value) for name, value in expected.items() if name in actual
        }
    if callable(expected) and matches(actual, expected):
        return _readable(expected)
    return actual


def _readable(expected: Any) -> Any:
    if callable(expected):
        return f"<{getattr(expected, '__name__', type(expected).__name__)}>"
    if isinstance(expected, Mapping):
        return {name: _readable(value) for name, value in expected.items()}
    if isinstance(expected, list | tuple):
        return [_readable(value) for value in expected]
    return expected


def shown(value: Any) -> str:
    """Return it as indented JSON; a function by its name."""
    return json.dumps(_readable(value), indent=2, ensure_ascii=False, default=repr)
