"""One request from beginning to end, in a sender thread.

Filter, redact, encode, deliver, dead-letter the refused.

The consumer thread learns the result as a Settlement. Nothing in it is settled that the destination
or, for dead letters, Kafka has not acknowledged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from auditbus.runtime import metrics
from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.destination import Client, Destination, Parcel
from auditbus.sinks.siem.encodings import Unencodable
from auditbus.sinks.siem.latency import observe_latency, occurred_at, recorded_at
from auditbus.sinks.siem.outcomes import (
    Accepted,
    Blocked,
    Delivered,
    Failed,
    Outcome,
    Refusal,
    Rejected,
)
from auditbus.sinks.siem.preparation import Preparation
from auditbus.sinks.siem.records import Batch, Offsets, Record
from auditbus.sinks.siem.refused import Refused
from auditbus.sinks.siem.tally import Counts, Tally

__all__ = [
    "BLAMED_ATTEMPTS",
    "Sender",
    "Settlement",
    "Unsent",
    "is_believed",
]

BLAMED_ATTEMPTS = 4
"""Requests with the same payload, each refused for it, before the blame is believed."""

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unsent:
    """No request was made: nothing in the batch was for this destination, or could be encoded."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What came of one request. `done` is settled, `again` must be sent again (both in order)."""

    batch: Batch
    outcome: Outcome | Unsent
    done: Sequence[Record]
    again: Sequence[Record]


class Sender:
    """Sends batches to one destination. Safe to use from several threads."""

    def __init__(
        self,
        destination: Destination,
        client: Client,
        letters: DeadLetterWriter,
        tally: Tally | None = None,
    ) -> None:
        """Send through `client`; `letters` must be this destination's own writer.

        Raises SettingsError where the destination's filter is wrong.
        """
        self._name = destination.name
        self._prepare = Preparation(destination)
        self._client = client
        self._tally = tally or Tally()
        self._refused = Refused(destination.name, letters, self._tally)

    def send(self, batch: Batch) -> Settlement:
        """Deliver `batch` and return what came of it. Blocks for the request; never raises.

        What cannot be encoded is a dead letter first, so that the rest goes out as one request.
        """
        fit: list[Record] = []
        events: list[bytes] = []
        unfit: dict[Record, Refusal] = {}
        for record in batch.records:
            try:
                event = self._prepare(record)
            except Unencodable as error:
                unfit[record] = Refusal(error.code, error.reason)
            except Exception as error:  # noqa: BLE001  # an encoder's bug must not cost events
                unfit[record] = Refusal("encoder_error", type(error).__name__)
            else:
                if event is not None:
                    fit.append(record)
                    events.append(event)
        if failure := self._refused.bury(batch, unfit):
            return self._sort(batch, failure, set(batch.records))
        self._count_filtered(len(batch.records) - len(fit) - len(unfit))
        if not events:
            return Settlement(batch, Unsent(), batch.records, ())
        return self._settle(batch, fit, self._deliver(batch, fit, events))

    def confirm(self, batch: Batch, accepted: Accepted) -> Settlement:
        """Ask whether an accepted batch is acknowledged by now; never raises."""
        outcome = self._guarded(accepted.confirm)
        if isinstance(outcome, Accepted):
            return Settlement(batch, outcome, (), ())
        records = tuple(batch.records)
        again: AbstractSet[int] = frozenset(range(len(records)))
        if isinstance(outcome, Delivered):  # the payload is gone: the refused are read again, too
            again = outcome.again | outcome.refused.keys()
            self._count_delivered(len(records) - len(again))
            observe_latency(self._name, recorded_at(records[0]))
        return self._sort(
            replace(batch, records=records), outcome, {records[index] for index in again}
        )

    def _deliver(self, batch: Batch, fit: Sequence[Record], events: list[bytes]) -> Outcome:
        parcel = Parcel(_parcel_id(batch, events), events, fit[-1].timestamp_ms)
        self._tally.add(Counts(sent=len(events)))
        metrics.BATCH_ROWS.labels(self._name).observe(len(events))
        with (
            metrics.INFLIGHT_REQUESTS.labels(self._name).track_inprogress(),
            metrics.SINK_REQUEST.labels(self._name).time(),
        ):
            outcome = self._guarded(lambda: self._client.deliver(parcel))
        if isinstance(outcome, Rejected) and len(events) == 1 and is_believed(batch, outcome):
            return self._judge(outcome)
        if isinstance(outcome, Delivered):
            observe_latency(self._name, occurred_at(fit[0]))
        return outcome

    def _guarded(self, call: Callable[[], Outcome]) -> Outcome:
        try:
            return call()
        except Exception as error:  # noqa: BLE001  # a client's bug must not cost events
            _log.exception("destination_client_error", destination=self._name)
            return Failed("client_error", type(error).__name__)

    def _judge(self, blame: Rejected) -> Outcome:
        """Decide whether the one event that is refused is to blame, or the destination.

        A receiver may well answer 400 to a signature it does not like. So the refusal is believed
        only where a probe, sent with the same address and credentials, is taken.
        """
        refusal = Refusal(blame.code, blame.reason, blame.response)
        if blame.too_large or isinstance(self._guarded(self._client.probe), Delivered):
            return Delivered(refused={0: refusal})
        return Blocked(blame.code, f"{blame.reason}; it refuses the probe too")

    def _settle(self, batch: Batch, fit: Sequence[Record], outcome: Outcome) -> Settlement:
        match outcome:
            case Delivered(refused, indexes):
                letters = {fit[index]: refusal for index, refusal in refused.items()}
                again = {fit[index] for index in indexes}
                if failure := self._refused.bury(batch, letters):
                    return self._sort(batch, failure, again | letters.keys())
                self._count_delivered(len(fit) - len(letters) - len(again))
                return self._sort(batch, outcome, again)
            case Accepted():
                out = set(fit)
                done = tuple(record for record in batch.records if record not in out)
                waiting = replace(batch, records=Offsets(fit))  # what `confirm` counts in
                return Settlement(waiting, outcome, done, ())
            case _:
                return self._sort(batch, outcome, set(fit))

    def _sort(self, batch: Batch, outcome: Outcome, again: AbstractSet[Record]) -> Settlement:
        self._tally.add(Counts(retried=len(again)))
        done = tuple(record for record in batch.records if record not in again)
        return Settlement(
            batch, outcome, done, tuple(record for record in batch.records if record in again)
        )

    def _count_delivered(self, count: int) -> None:
        metrics.SINK_ROWS.labels(self._name, "delivered").inc(count)
        self._tally.add(Counts(acknowledged=count))

    def _count_filtered(self, count: int) -> None:
        if count:
            metrics.SINK_ROWS.labels(self._name, "filtered").inc(count)
            self._tally.add(Counts(filtered=count))


def is_believed(batch: Batch, blame: Rejected) -> bool:
    """Whether to look for the one event a refusal is about, rather than send all of it again."""
    return blame.too_large or batch.suspect or batch.attempts + 1 >= BLAMED_ATTEMPTS


def _parcel_id(batch: Batch, events: Sequence[bytes]) -> str:
    """Name a batch by where it lies and what it says.

    By the offsets alone, a topic that is deleted and made anew would repeat names, and a receiver
    that drops repeats would drop new events.
    """
    digest = hashlib.sha256(batch.topic.encode())
    digest.update(b"".join(events))  # at once, so that other threads run meanwhile
    first, last = batch.records[0].offset, batch.records[-1].offset
    return f"audit_{batch.partition}_{first}_{last}_{digest.hexdigest()[:24]}"
