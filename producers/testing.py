"""For the tests of a service: a producer that keeps its events in memory, and readable assertions.

The pytest plugin (`auditbus.producers.pytest_plugin`, found by pytest itself) gives one as the
fixture `audit_events`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, Unpack

import orjson

from auditbus.producers.assembly import Assembled, EventAssembler
from auditbus.producers.certainty import Certainty, CertaintyByAction, refuse_in_event_loop
from auditbus.producers.expectations import explained, matches, shown
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
    reached Kafka, parsed, in order, without the producer's own stamp. Every delivery is
    acknowledged at once; what would wait for that is refused in an event loop all the same. Safe
    between threads.
    """

    def __init__(
        self,
        *,
        operator_account: str = "system",
        catalogue: Catalogue | None = None,
        redactor: Redactor | None = None,
        delivery: Mapping[str, Certainty] | None = None,
        default_delivery: Certainty = "best_effort",
    ) -> None:
        """Take the settings of AuditProducer that do not concern Kafka; raises SettingsError."""
        self._assemble = EventAssembler(
            operator_account, catalogue or Catalogue.builtin(), redactor
        )
        self._certainty = CertaintyByAction(delivery or {}, default_delivery)
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

    def certainty_of(self, action: object) -> Certainty:
        """Return the certainty that was asked for this action."""
        return self._certainty.of(action, None)

    def emit(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: Certainty | None = None,
        timeout_s: float = 10.0,  # noqa: ARG002 -- AuditProducer's: here all is acknowledged
        **fields: Unpack[EventFields],
    ) -> Acknowledged:
        """Keep one event.

        Raises InvalidEvent, ProducerClosed, what `failing` was given, and WouldBlock where the
        AuditProducer would.
        """
        filled: dict[str, Any] = {**(event or {}), **fields}
        if self._certainty.of(filled.get("action"), delivery) != "best_effort":
            refuse_in_event_loop()
        return self._keep(filled)

    def emit_assembled(self, event: Assembled, *, stamped: bool = False) -> Acknowledged:  # noqa: ARG002
        """Keep one event that an EventAssembler made."""
        return self._keep_assembled(event)

    def _keep(self, fields: dict[str, Any]) -> Acknowledged:
        return self._keep_assembled(self._assemble(fields))

    def _keep_assembled(self, event: Assembled) -> Acknowledged:
        raw, _, event_id = event
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
        """Do as `emit` with `delivery` so."""
        return self.emit(event, delivery="acknowledged", timeout_s=timeout_s, **fields)

    async def emit_async(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: Certainty | None = None,
        timeout_s: float = 10.0,  # noqa: ARG002
        **fields: Unpack[EventFields],
    ) -> Acknowledged:
        """Do as `emit`, in an event loop too."""
        filled: dict[str, Any] = {**(event or {}), **fields}
        self._certainty.of(filled.get("action"), delivery)  # refuses an unknown word
        return self._keep(filled)

    def metrics(self) -> ProducerMetrics:
        """Count what is kept: all of it is acknowledged."""
        count = len(self.events)
        return ProducerMetrics(accepted=count, acknowledged=count)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Do nothing: all is delivered."""

    def close(self, timeout_s: float = 30.0) -> None:  # noqa: ARG002
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
        matching = [event for event in events if matches(event, expected)]
        if len(matching) == count or (matching and count is None):
            return matching[0] if matching else {}
        raise AssertionError(explained(events, matching, expected, count))

    def assert_nothing_recorded(self, **unexpected: Any) -> None:
        """Assert that no event holds this; without arguments, that there is none at all."""
        __tracebackhide__ = True
        matching = [event for event in self.events if matches(event, unexpected)]
        if matching:
            listed = "\n".join(shown(event) for event in matching[:3])
            raise AssertionError(f"{len(matching)} audit events recorded, none expected:\n{listed}")
