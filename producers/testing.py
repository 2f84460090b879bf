"""For the tests of a service: a producer that keeps its events in memory, and readable assertions.

The pytest plugin (`auditbus.producers.pytest_plugin`, found by pytest itself) gives one as the
fixture `audit_events`.
"""

from __future__ import annotations

import difflib
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack

import orjson

from auditbus.producers.assembly import EventAssembler
from auditbus.producers.fields import EventFields
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.redaction import Redactor
from auditbus.runtime.errors import DeliveryFailed, ProducerClosed
from auditbus.schemas.catalogue import Catalogue

__all__ = ["Acknowledged", "RecordingProducer"]

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What a Delivery says once Kafka has the event."""

    id: str
    done: bool = True
    acknowledged: bool = True
    spooled: bool = False
    exception: None = None

    def wait(self, timeout_s: float) -> None:
        """Return at once."""

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        """Call it at once."""
        callback(self)


class RecordingProducer:
    """Takes what an AuditProducer takes, and keeps it.

    Context, redaction, filling and validation are the real ones: `events` holds what would have
    reached Kafka, parsed, in order. Every delivery is acknowledged at once. Safe between threads.
    """

    def __init__(
        self,
        *,
        operator_account: str = "system",
        catalogue: Catalogue | None = None,
        redactor: Redactor | None = None,
        delivery: Mapping[str, str] | None = None,
        default_delivery: str = "best_effort",
    ) -> None:
        """Take the settings of AuditProducer that do not concern Kafka."""
        self._assemble = EventAssembler(
            operator_account, catalogue or Catalogue.builtin(), redactor
        )
        self._delivery = dict(delivery or {})
        self._default_delivery = default_delivery
        self._lock = threading.Lock()
        self._events: list[Event] = []
        self._error: Exception | None = None
        self._closed = False

    @property
    def events(self) -> list[Event]:
        """What was emitted since the start, or since `clear`."""
        with self._lock:
            return [*self._events]

    def clear(self) -> None:
        """Forget what was emitted."""
        with self._lock:
            self._events.clear()

    @contextmanager
    def failing(self, error: Exception | None = None) -> Iterator[None]:
        """Let every `emit` in the block raise, by default what a dead Kafka makes it raise."""
        self._error = error or DeliveryFailed("no acknowledgement came in time", may_retry=True)
        try:
            yield
        finally:
            self._error = None

    def certainty_of(self, action: object) -> str:
        """Return the certainty that was asked for this action."""
        name = action if isinstance(action, str) else ""
        return self._delivery.get(name, self._default_delivery)

    def emit(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: str | None = None,  # noqa: ARG002 -- AuditProducer's: here all is acknowledged
        timeout_s: float = 10.0,  # noqa: ARG002
        **fields: Unpack[EventFields],
    ) -> Acknowledged:
        """Keep one event. Raises InvalidEvent, ProducerClosed, and what `failing` was given."""
        raw, _, event_id = self._assemble({**(event or {}), **fields})
        if self._error is not None:
            raise self._error
        with self._lock:
            if self._closed:
                raise ProducerClosed("the producer is closed")
            self._events.append(orjson.loads(raw))
        return Acknowledged(event_id)

    def emit_and_wait(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Acknowledged:
        """Do as `emit`."""
        return self.emit(event, timeout_s=timeout_s, **fields)

    async def emit_async(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: str | None = None,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Acknowledged:
        """Do as `emit`."""
        return self.emit(event, delivery=delivery, timeout_s=timeout_s, **fields)

    def metrics(self) -> ProducerMetrics:
        """Count what is kept: all of it is acknowledged."""
        count = len(self.events)
        return ProducerMetrics(accepted=count, acknowledged=count)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Do nothing: all is delivered."""

    def close(self, timeout_s: float = 30.0) -> None:  # noqa: ARG002 -- AuditProducer's
        """Refuse events from now on; `events` stays."""
        with self._lock:
            self._closed = True

    def __enter__(self) -> Self:
        """Return the producer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def assert_recorded(self, *, count: int | None = None, **expected: Any) -> Event:
        """Assert that an event holds what is expected, and return it (the first one).

            audit.assert_recorded(action="StorageDeleted", actor={"id": "u-17"})

        An object is compared member by member, at any depth: what it says more does not matter. A
        list must have as many items, and each is compared so. A function is called with the value,
        and must return true. `count` is how many events must match (default: one or more). The
        message shows how the closest event differs.
        """
        __tracebackhide__ = True
        events = self.events
        matching = [event for event in events if _matches(event, expected)]
        if len(matching) == count or (matching and count is None):
            return matching[0] if matching else {}
        raise AssertionError(_explained(events, matching, expected, count))

    def assert_nothing_recorded(self, **unexpected: Any) -> None:
        """Assert that no event holds this; without arguments, that there is none at all."""
        __tracebackhide__ = True
        matching = [event for event in self.events if _matches(event, unexpected)]
        if matching:
            shown = "\n".join(_shown(event) for event in matching[:3])
            raise AssertionError(f"{len(matching)} audit events recorded, none expected:\n{shown}")


def _matches(actual: Any, expected: Any) -> bool:
    if callable(expected):
        return bool(expected(actual))
    if isinstance(expected, Mapping):
        return isinstance(actual, dict) and all(
            _matches(actual.get(name), value) for name, value in expected.items()
        )
    if isinstance(expected, list | tuple):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(map(_matches, actual, expected))
        )
    return type(actual) is type(expected) and bool(actual == expected)


def _explained(
    events: list[Event], matching: list[Event], expected: Event, count: int | None
) -> str:
    if not events:
        return f"no audit event was recorded; expected:\n{_shown(expected)}"
    if matching:
        return f"{len(matching)} audit events match, expected {count}:\n{_shown(expected)}"
    closest = max(events, key=lambda event: _likeness(event, expected))
    wanted, found = _shown(_readable(expected)), _shown(_shaped(closest, expected))
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
    return float(_matches(actual, expected))


def _shaped(actual: Any, expected: Any) -> Any:
    """Return the part of `actual` that `expected` speaks of."""
    if isinstance(expected, Mapping) and isinstance(actual, dict):
        return {
            name: _shaped(actual[name], value) for name, value in expected.items() if name in actual
        }
    if callable(expected) and _matches(actual, expected):
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


def _shown(value: Any) -> str:
    return json.dumps(_readable(value), indent=2, ensure_ascii=False, default=repr)
