"""Splunk's indexer acknowledgement: which requests of a channel are known to be indexed.

A request is answered 200 with an `ackId`, a number that counts up in its channel, and only a later
poll of /services/collector/ack says that the id's events are indexed. Three traps lie there:

- Splunk forgets an id once it has said "true" for it: an answer that was lost never comes again.
  Then the bound passes and the events are sent again.
- Ids begin anew when an indexer restarts, and each indexer behind a load balancer that does not
  keep sessions counts for itself. So "true" for 5 may speak of another request's 5. Two requests
  of a channel with one id prove it: the channel is given up, its requests are sent again by a new
  one. That the twin may still be under way when a poll says "true" is why the word counts only once
  all requests that began before it have been answered with other ids.
- A request that got no answer may be such a twin unseen. Counters begin at 0 and the first answer
  gives another counter away, so only ids below the number of such requests are in doubt: those are
  not believed, and sent again.

Source: Splunk, About HTTP Event Collector Indexer Acknowledgment.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from auditbus.sinks.siem.intervals import IntervalSet

__all__ = ["Channels", "State", "Ticket"]


class State(Enum):
    """What is known of a request that was answered 200."""

    WAITING = auto()
    INDEXED = auto()
    LOST = auto()


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that was answered: its channel and its id there, and when (monotonic seconds)."""

    channel: str
    ack_id: int
    taken_at: float


class Channels:
    """The channel in use, and the requests of it that wait. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._serial = 0
        self._open()

    @property
    def current(self) -> str:
        """The channel that the next request uses."""
        with self._lock:
            return self._channel

    @property
    def waiting(self) -> list[int]:
        """The ids to poll for."""
        with self._lock:
            return [ack_id for ack_id, heard in self._waiting.items() if heard is None]

    def begin(self) -> tuple[str, int]:
        """Note that a request begins; return its channel, and a number to end it by."""
        with self._lock:
            self._serial += 1
            self._under_way.add(self._serial)
            return self._channel, self._serial

    def end(self, channel: str, serial: int, *, ack_id: int | None, is_answered: bool) -> None:
        """Note how a request ended; with an `ack_id` it waits from now on."""
        with self._lock:
            if channel != self._channel:
                return  # given up meanwhile
            self._under_way.discard(serial)
            if not is_answered:
                self._unanswered += 1
                self._doubt_below = self._unanswered + len(self._under_way)
            if ack_id is None:
                return
            if ack_id in self._seen:
                self._open()
                return
            self._seen.add(ack_id, ack_id + 1)
            self._waiting[ack_id] = None

    def hear(self, channel: str, acks: Mapping[int, bool]) -> None:
        """Take in the answer to a poll."""
        with self._lock:
            if channel != self._channel:
                return
            for ack_id, is_indexed in acks.items():
                if is_indexed and self._waiting.get(ack_id, 0) is None:
                    self._waiting[ack_id] = self._serial

    def state(self, ticket: Ticket) -> State:
        """Say what is known of a request; once it is not WAITING, it is forgotten."""
        with self._lock:
            if ticket.channel != self._channel or ticket.ack_id not in self._waiting:
                return State.LOST
            heard = self._waiting[ticket.ack_id]
            if ticket.ack_id >= self._doubt_below and (
                heard is None or heard >= min(self._under_way, default=heard + 1)
            ):
                return State.WAITING
            del self._waiting[ticket.ack_id]
            return State.LOST if ticket.ack_id < self._doubt_below else State.INDEXED

    def forget(self, ticket: Ticket) -> None:
        """Stop asking for a request's id."""
        with self._lock:
            if ticket.channel == self._channel:
                self._waiting.pop(ticket.ack_id, None)

    def _open(self) -> None:
        self._channel = str(uuid.uuid4())
        self._seen = IntervalSet()
        self._under_way: set[int] = set()
        self._unanswered = 0
        self._doubt_below = 0
        # By id: None, or the serial of the last request that had begun when it was polled "true".
        self._waiting: dict[int, int | None] = {}
