"""The sink's loop: one batch is read while the one before it is stored.

The loop itself never blocks for long, so the consumer stays in its group however long an insert
takes; inserting, waiting for ClickHouse and writing dead letters happen in the worker thread.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from auditbus.runtime import metrics
from auditbus.runtime.settings import SinkSettings
from auditbus.runtime.topic_watch import TopicWatch
from auditbus.sinks.clickhouse.batch import Batch
from auditbus.sinks.clickhouse.consumer import GROUP, TopicConsumer
from auditbus.sinks.clickhouse.delivery import SINK, Delivery
from auditbus.sinks.clickhouse.worker import Worker

__all__ = ["Sink"]

_POLL_S = 0.05
_GAUGES_EVERY_S = 5.0
# How long a revocation, or the end, waits for the insert under way: what is not committed by then
# is stored again by the next owner, and seen once.
_LAST_CHANCE_S = 2.0

Clock = Callable[[], float]


@dataclass(slots=True)
class _InFlight:
    batch: Batch
    read_under: dict[int, int]


class Sink:
    """Joins a consumer and a delivery. `consumer` is set before `run`, as each needs the other."""

    consumer: TopicConsumer

    def __init__(
        self,
        settings: SinkSettings,
        delivery: Delivery,
        watch: TopicWatch,
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """Take batches of `settings`' size; `clock` is monotonic, in seconds."""
        self._settings = settings
        self._delivery = delivery
        self._watch = watch
        self._worker: Worker[Batch] = Worker(delivery.settle)
        self._clock = clock
        self._batch = Batch()
        self._opened_at = 0.0
        self._in_flight: _InFlight | None = None
        self._last_turn = clock()
        self._gauges_at = 0.0

    def run(self, stop: threading.Event) -> None:
        """Store events until `stop` is set, then settle what is under way and leave the group.

        Raises OffsetLost, TopicMisconfigured, KafkaUnreachable or StoreRefused; nothing that is
        not settled was committed then.
        """
        self._worker.start()
        try:
            while not stop.is_set():
                self.turn()
            self._finish()
        finally:
            self._delivery.abandon()
            self.consumer.close()

    def turn(self) -> None:
        """Read a little, hand over a batch when it is due, and commit one that is settled."""
        self._last_turn = self._clock()
        self._watch.check()
        self._collect()
        if self._in_flight is None and self._due():
            self._hand_over()
        self._settle(timeout_s=0)
        self._update_gauges()

    def before_revoke(self, partitions: set[int]) -> None:
        """Forget the partitions' records; what is being stored gets a moment to be committed."""
        self._batch.drop(partitions)
        if self._in_flight and not partitions.isdisjoint(self._in_flight.batch.next_offsets):
            self._settle(timeout_s=_LAST_CHANCE_S, wait_for_commit=True)

    def health(self) -> str | None:
        """Say that the loop stands still, or None."""
        idle_s = self._clock() - self._last_turn
        return f"no turn of the loop for {idle_s:.0f} s" if idle_s > 60 else None  # noqa: PLR2004

    def readiness(self) -> str | None:
        """Say what the sink waits for, or None while it stores."""
        joining = None if self.consumer.has_joined else "joining the consumer group"
        return self.health() or self._delivery.trouble or joining

    def _collect(self) -> None:
        settings, batch = self._settings, self._batch
        room = settings.batch_rows - len(batch)
        if room > 0 and batch.size_bytes < settings.batch_bytes:
            self.consumer.resume()
            self._take(room, self._poll_s())
        elif not self._worker.wait(_POLL_S):
            # The store is slower than Kafka. Pausing throws away what was fetched ahead, so it is
            # for when an insert takes long; what comes meanwhile is of a partition just assigned.
            self.consumer.pause()
            self._take(1, _POLL_S)

    def _take(self, most: int, timeout_s: float) -> None:
        was_empty = not len(self._batch)
        messages = self.consumer.read(most, timeout_s)
        if not messages:
            return
        if was_empty:
            self._opened_at = self._clock()
        self._batch.extend(messages)
        for partition, count in Counter(message.partition() for message in messages).items():
            metrics.CONSUMED_EVENTS.labels(self.consumer.topic, partition).inc(count)

    def _poll_s(self) -> float:
        """Never longer than until the open batch is due."""
        if not len(self._batch):
            return _POLL_S
        left_s = self._opened_at + self._settings.linger_ms / 1000 - self._clock()
        return min(_POLL_S, max(left_s, 0.001))

    def _due(self) -> bool:
        batch, settings = self._batch, self._settings
        return len(batch) > 0 and (
            len(batch) >= settings.batch_rows
            or batch.size_bytes >= settings.batch_bytes
            or self._clock() - self._opened_at >= settings.linger_ms / 1000
        )

    def _hand_over(self) -> None:
        batch, self._batch = self._batch, Batch()
        self._in_flight = _InFlight(batch, dict(self.consumer.assignments))
        self._worker.submit(batch)

    def _settle(self, *, timeout_s: float, wait_for_commit: bool = False) -> None:
        """Commit the batch in flight if the worker is done with it; raises what stopped it."""
        flight = self._in_flight
        if flight is None or not self._worker.wait(timeout_s):
            return
        self._in_flight = None
        self._worker.raise_failure()
        self.consumer.commit(flight.batch.next_offsets, flight.read_under, wait=wait_for_commit)

    def _finish(self) -> None:
        """Commit what is being stored, if that is soon; the next start reads the rest again."""
        if self._delivery.trouble is None:
            self._settle(timeout_s=_LAST_CHANCE_S, wait_for_commit=True)

    def _update_gauges(self) -> None:
        now = self._clock()
        if now - self._gauges_at < _GAUGES_EVERY_S:
            return
        self._gauges_at = now
        in_flight = len(self._in_flight.batch) if self._in_flight else 0
        metrics.UNCOMMITTED_OFFSET_GAP.labels(GROUP).set(in_flight + len(self._batch))
        metrics.OLDEST_UNACKNOWLEDGED.labels(SINK).set(
            now - self._opened_at if in_flight or len(self._batch) else 0
        )
        for partition, lag in self.consumer.lag().items():
            metrics.CONSUMER_LAG.labels(GROUP, self.consumer.topic, partition).set(lag)
