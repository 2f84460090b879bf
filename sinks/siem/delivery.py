"""One destination's consumer: reads, hands batches to the sender, commits what is settled.

Everything here runs in one thread, which never waits for a destination: requests run in the
sender's threads and come back through a queue (`in_flight`). So Kafka is polled all the time, and a
destination that is down for a week costs neither its partitions nor memory.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from functools import partial

from confluent_kafka import Consumer, KafkaError, TopicPartition

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.retry import Backoff
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_watch import TopicWatch
from auditbus.sinks.siem.budget import Budget
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.in_flight import InFlight
from auditbus.sinks.siem.judge import Judge
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.outcomes import Accepted, Rejected
from auditbus.sinks.siem.partitions import Partitions
from auditbus.sinks.siem.reading import Reader, open_consumer
from auditbus.sinks.siem.sender import Sender, Settlement, is_believed
from auditbus.sinks.siem.standing import Standing
from auditbus.sinks.siem.valve import Valve

__all__ = ["Delivery"]

_POLL_IDLE_S, _POLL_BUSY_S = 0.05, 0.01
_COMMIT_EVERY_S = 0.5
# So long Kafka need not be polled: rebalances wait for it.
_SKIP_READS_S = 1.0
_STOP_DRAIN_S = 3.5
# A partition that leaves waits this long for answers under way: fewer repeats from its next owner.
_REVOKE_DRAIN_S = 2.0
_ALONE_BYTES = 64 * 1024 * 1024


class Delivery:
    """Delivers one topic to one destination until told to stop."""

    def __init__(
        self,
        destination: Destination,
        kafka: KafkaSettings,
        letters: DeadLetterWriter,
        standing: Standing,
        read_topic_id: Callable[[str], str],
        valve: Valve | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`. `read_topic_id` asks Kafka for a topic's id.

        While `valve` is closed nothing is sent, and nothing is held but the partitions. No more is
        held than `budget` allows.
        """
        settings = destination.settings
        topics = kafka.topics
        self._destination = destination
        self._kafka = kafka
        self._letters = letters
        self._standing = standing
        self._valve = valve or Valve()
        self._was_closed = False
        self._budget = budget or Budget(_ALONE_BYTES)
        self._over_since: float | None = None
        self._topic = topics.events if settings.topic == "raw" else topics.enriched
        self._limits = Limits(
            settings.batch_events,
            settings.batch_bytes,
            settings.linger_ms / 1000,
            destination.kind.ordered,
        )
        self._read_topic_id = partial(read_topic_id, self._topic)
        self._judge = Judge(standing, self._backoff())
        self._turn = 0
        self._revoke_drain_s = _REVOKE_DRAIN_S

    def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; then wait a moment for answers, commit and leave the group.

        Raises OffsetLost where events are gone from the topic, TopicMisconfigured where it is
        missing or was made anew, KafkaUnreachable or a KafkaException where the client cannot go
        on. What is not settled is not committed; another `Delivery` begins at the last commit.
        """
        with TopicWatch(self._read_topic_id, self._topic) as watch:
            self._run(stop, watch)

    def _run(self, stop: threading.Event, watch: TopicWatch) -> None:
        destination = self._destination
        group = self._kafka.group(destination.group)
        with ExitStack() as stack:
            client = destination.kind.connect(destination.settings)
            stack.callback(client.close)
            sender = Sender(destination, client, self._letters, self._standing.tally)
            requests = destination.settings.requests_in_flight
            self._in_flight = InFlight(sender, destination.name, requests, self._budget)
            stack.callback(self._in_flight.close)
            consumer = open_consumer(
                self._kafka, destination.group, self._budget.queue_bytes, self._committed
            )
            self._partitions = Partitions(
                consumer,
                self._topic,
                group,
                topic_id=watch.topic_id,
                new_lane=self._new_lane,
                before_revoke=self._before_revoke,
            )
            self._reader = Reader(consumer, self._topic, group, self._partitions.lanes)
            stack.callback(self._leave, consumer)
            self._partitions.subscribe()
            self._deliver_until(stop, watch)
            self._drain(_STOP_DRAIN_S, set(self._partitions.lanes.values()))
            self._partitions.commit(wait=True)

    def _leave(self, consumer: Consumer) -> None:
        self._revoke_drain_s = 0.0  # what leaves now has had its time
        consumer.close()

    def _deliver_until(self, stop: threading.Event, watch: TopicWatch) -> None:
        next_commit = 0.0
        while not stop.is_set():
            watch.check()
            now = time.monotonic()
            is_closed = self._heed_valve()
            is_over = self._heed_budget(now)
            self._dispatch(now, send=not is_closed, over=is_over)
            is_waiting = is_closed or self._judge.circuit.is_waiting(now)
            is_long_over = self._is_long_over(now)
            self._partitions.steer(now, waiting=is_waiting, over=is_long_over)
            if is_over and not is_long_over:
                self._apply_results(_POLL_BUSY_S)
            else:
                self._reader.read(_POLL_BUSY_S if self._in_flight.requests else _POLL_IDLE_S)
                self._apply_results()
            if now >= next_commit:
                next_commit = now + _COMMIT_EVERY_S
                self._partitions.commit(wait=False)
                self._partitions.observe(self._destination.name)
                self._standing.positions = self._partitions.positions

    def _heed_valve(self) -> bool:
        """Whether the destination is paused; one that was resumed is tried at once."""
        if self._valve.take_push():
            self._judge.circuit.retry_now()
            for lane in self._partitions.lanes.values():
                lane.retry_now()
        is_closed = self._valve.is_closed
        if is_closed and not self._was_closed:
            self._shed()
        self._was_closed = is_closed
        return is_closed

    def _heed_budget(self, now: float) -> bool:
        """Whether so much is held that nothing more must be read.

        For a moment it is just not read. Beyond that Kafka wants to be polled, so the partitions
        are paused; until half is gone, as a pause throws away what the client has fetched.
        """
        lanes = self._partitions.lanes.values()
        held_bytes = self._in_flight.held_bytes + sum([lane.held_bytes for lane in lanes])
        most_bytes = self._budget.part_bytes // (2 if self._is_long_over(now) else 1)
        if held_bytes <= most_bytes:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
        return self._over_since is not None

    def _is_long_over(self, now: float) -> bool:
        return self._over_since is not None and now - self._over_since >= _SKIP_READS_S

    def _dispatch(self, now: float, *, send: bool, over: bool) -> None:
        """Start as many requests as may be under way, the partitions taking turns.

        Without `send`, only ask for the acknowledgement of what was sent. `over`: too much is held
        to wait for full batches.
        """
        self._in_flight.confirm(now)
        lanes = list(self._partitions.lanes.values()) if send else []
        self._turn += 1
        for number in range(len(lanes)):
            lane = lanes[(self._turn + number) % len(lanes)]
            while self._may_start(lane, now, over=over):
                held_bytes = lane.held_bytes
                batch = lane.take()
                self._in_flight.send(lane, batch, held_bytes - lane.held_bytes)

    def _may_start(self, lane: Lane, now: float, *, over: bool) -> bool:
        is_ready = self._in_flight.has_room and lane.is_ready(now, over=over)
        return is_ready and self._judge.circuit.try_acquire(now)

    def _apply_results(self, wait_s: float = 0.0) -> None:
        """Take in what came of requests, waiting for the first."""
        while (found := self._in_flight.take(wait_s)) is not None:
            self._apply(*found)
            wait_s = 0.0

    def _apply(self, lane: Lane, settlement: Settlement) -> None:
        """Take in what came of a request. Of a lane that is gone, only the circuit learns."""
        now = time.monotonic()
        if self._judge.hear(settlement.outcome, now):
            self._shed()
        if self._partitions.lanes.get(lane.partition) is not lane:
            return
        batch, outcome = settlement.batch, settlement.outcome
        lane.settle(settlement.done)
        if isinstance(outcome, Accepted):
            self._in_flight.wait(lane, batch, outcome, now)
            return
        lane.land(batch)
        again = settlement.again
        if not again:
            lane.succeed()
        elif isinstance(outcome, Rejected) and len(again) > 1 and is_believed(batch, outcome):
            lane.split(again)
        else:
            lane.retry(batch, again, now)

    def _shed(self) -> None:
        for lane in self._partitions.lanes.values():
            lane.shed()

    def _committed(self, error: KafkaError | None, found: list[TopicPartition]) -> None:
        self._partitions.committed(error, found)

    def _before_revoke(self, leaving: Sequence[Lane]) -> None:
        self._drain(self._revoke_drain_s, set(leaving))

    def _drain(self, timeout_s: float, lanes: AbstractSet[Lane]) -> None:
        """Take in answers and acknowledgements of `lanes`, for `timeout_s` seconds at most."""
        self._in_flight.hurry()
        deadline = time.monotonic() + timeout_s
        while self._in_flight.is_waiting_for(lanes) and (left_s := deadline - time.monotonic()) > 0:
            self._in_flight.confirm(time.monotonic())
            if (found := self._in_flight.take(min(left_s, _POLL_IDLE_S))) is not None:
                self._apply(*found)
        self._in_flight.relax()

    def _new_lane(self, partition: int, start: int) -> Lane:
        self._standing.began()
        return Lane(self._topic, partition, start, limits=self._limits, backoff=self._backoff())

    def _backoff(self) -> Backoff:
        settings = self._destination.settings
        return Backoff(settings.retry_base_s, settings.retry_cap_s)
