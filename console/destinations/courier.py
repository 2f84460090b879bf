"""Carries a replay's events to a destination: each is settled, or the replay ends and says why.

The same sender as live delivery, so filter, redaction, encoding, dead letters and the meaning of
every answer are the same; the client and its connections are the replay's own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from auditbus.console.destinations.errors import ReplayFailed, ReplayRefused
from auditbus.runtime.retry import Backoff
from auditbus.sinks.siem.destination import DestinationSettings
from auditbus.sinks.siem.outcomes import Accepted, Blocked, Failed, Rejected
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.sender import Sender, Settlement, is_believed

__all__ = ["Courier"]

_GIVE_UP_S = 300.0


class Courier:
    """Safe to use from several threads. Stops at the next answer once `stop` is set."""

    def __init__(
        self, sender: Sender, settings: DestinationSettings, stop: threading.Event
    ) -> None:
        """Send through `sender`."""
        self._sender = sender
        self._settings = settings
        self._stop = stop

    def carry(self, batch: Batch) -> bool:
        """Send `batch` until all of it is settled; False where it was stopped before.

        Raises ReplayRefused where a person must act, ReplayFailed after minutes without success.
        """
        backoff = Backoff(self._settings.retry_base_s, self._settings.retry_cap_s)
        waiting = deque([batch])
        give_up_at = time.monotonic() + _GIVE_UP_S
        while waiting:
            if self._stop.is_set():
                return False
            current = waiting.popleft()
            settlement = self._settle(current)
            if settlement is None:
                return False
            again = _originals(current, settlement.again)
            if len(again) < len(current.records):
                give_up_at = time.monotonic() + _GIVE_UP_S
            if again:
                waiting.extendleft(reversed(_next_tries(current, settlement, again)))
                self._wait(settlement, backoff, give_up_at)
        return True

    def _settle(self, batch: Batch) -> Settlement | None:
        """Send, and wait for the acknowledgement; None where it was stopped meanwhile."""
        settlement = self._sender.send(batch)
        while isinstance(outcome := settlement.outcome, Accepted):
            if self._stop.wait(outcome.check_after_s):
                return None
            settlement = self._sender.confirm(settlement.batch, outcome)
        return settlement

    def _wait(self, settlement: Settlement, backoff: Backoff, give_up_at: float) -> None:
        delay_s = backoff.next_delay_s()
        match settlement.outcome:
            case Blocked(_, reason):
                raise ReplayRefused(f"{reason}; once it is mended, the same command goes on")
            case Failed(_, reason, retry_after_s):
                if time.monotonic() > give_up_at:
                    raise ReplayFailed(
                        f"nothing taken for {_GIVE_UP_S:.0f} s: {reason}; "
                        "the same command goes on later"
                    )
                delay_s = max(delay_s, retry_after_s or 0.0)
            case _:
                pass
        self._stop.wait(delay_s)


def _originals(batch: Batch, again: Sequence[Record]) -> tuple[Record, ...]:
    """Return the records with their payloads: what waited for an acknowledgement has none."""
    offsets = {record.offset for record in again}
    return tuple(record for record in batch.records if record.offset in offsets)


def _next_tries(
    batch: Batch, settlement: Settlement, again: tuple[Record, ...]
) -> tuple[Batch, ...]:
    outcome = settlement.outcome
    if isinstance(outcome, Rejected) and len(again) > 1 and is_believed(batch, outcome):
        middle = len(again) // 2
        halves = (again[:middle], again[middle:])
        return tuple(replace(batch, records=half, attempts=0, suspect=True) for half in halves)
    return (replace(batch, records=again, attempts=batch.attempts + 1),)
