"""One destination's consumer: reads, hands batches to the sender, commits what is settled.

Everything here runs in one thread, which never waits for a destination: requests run in the
sender's threads and come back through a queue. So Kafka is polled all the time, and a destination
that is down for a week costs neither its partitions nor memory.
"""

from __future__ import annotations

import heapq
import itertools
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from queue import Empty, SimpleQueue
from typing import cast

from confluent_kafka import KafkaError, Message, TopicPartition

from auditbus.runtime import metrics
from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.errors import KafkaUnreachable
from auditbus.runtime.kafka import new_consumer
from auditbus.runtime.logging import get_logger
from auditbus.runtime.retry import Backoff
from auditbus.runtime.settings import KafkaSettings
from auditbus.runtime.topic_watch import TopicWatch
from auditbus.sinks.siem.circuit import Circuit, CircuitState
from auditbus.sinks.siem.destination import Destination
from auditbus.sinks.siem.lane import Lane, Limits
from auditbus.sinks.siem.outcomes import Accepted, Blocked, Failed, Outcome, Rejected
from auditbus.sinks.siem.partitions import Partitions, offset_lost
from auditbus.sinks.siem.pool import SenderPool
from auditbus.sinks.siem.records import Batch, Record
from auditbus.sinks.siem.sender import (
    BLAMED_ATTEMPTS,
    DEAD_LETTER_UNWRITTEN,
    Sender,
    Settlement,
    Unsent,
)
from auditbus.sinks.siem.standing import Standing
from auditbus.sinks.siem.valve import Valve

__all__ = ["Delivery"]

_log = get_logger(__name__)
_OFFSET_GONE = KafkaError._AUTO_OFFSET_RESET  # noqa: SLF001  # librdkafka's own codes are so named
_POLL_EVENTS = 500
_POLL_IDLE_S, _POLL_BUSY_S = 0.05, 0.01
_COMMIT_EVERY_S = 0.5
_STOP_DRAIN_S = 3.5
# While it ends, acknowledgements are asked for this often, whatever the destination's own interval.
_STOP_CONFIRM_S = 0.5
# Events that a destination took and has not acknowledged: beyond that, no more are sent.
_UNACKNOWLEDGED_EVENTS = 500_000
# A partition that leaves waits this long for answers under way: fewer repeats from its next owner.
_REVOKE_DRAIN_S = 2.0
# librdkafka's own queue, 64 MB by default, and what one answer brings, 50 MB: with twenty
# destinations that would be the process.
_QUEUE_KB = 2 * 1024


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
    ) -> None:
        """Prepare; nothing is opened before `run`. `read_topic_id` asks Kafka for a topic's id.

        While `valve` is closed nothing is sent, and nothing is held but the partitions.
        """
        settings = destination.settings
        topics = kafka.topics
        self._destination = destination
        self._kafka = kafka
        self._letters = letters
        self._standing = standing
        self._valve = valve or Valve()
        self._was_closed = False
        self._topic = topics.events if settings.topic == "raw" else topics.enriched
        self._limits = Limits(
            settings.batch_events,
            settings.batch_bytes,
            settings.linger_ms / 1000,
            destination.kind.ordered,
        )
        self._read_topic_id = partial(read_topic_id, self._topic)
        self._circuit = Circuit(self._backoff(), standing.circuit_changed)
        self._results: SimpleQueue[tuple[Lane, Settlement]] = SimpleQueue()
        self._jobs: Counter[Lane] = Counter()  # requests under way
        self._confirms: list[tuple[float, int, Lane, Batch, Accepted]] = []  # heap by time
        self._confirm_at_most_s = math.inf
        self._unacknowledged = 0  # events of the batches in _confirms
        self._serial = itertools.count()
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
        client = destination.kind.connect(destination.settings)
        self._sender = Sender(destination, client, self._letters, self._standing.tally)
        self._pool = SenderPool(destination.name, destination.settings.requests_in_flight)
        self._consumer = new_consumer(
            self._kafka,
            destination.group,
            {
                "auto.offset.reset": "error",
                "queued.max.messages.kbytes": _QUEUE_KB,
                "fetch.max.bytes": _QUEUE_KB * 1024,
                "fetch.message.max.bytes": 512 * 1024,
                # By default a full queue keeps the client from fetching for a whole second.
                "fetch.queue.backoff.ms": 10,
                "on_commit": self._committed,
            },
        )
        self._partitions = Partitions(
            self._consumer,
            self._topic,
            self._kafka.group(destination.group),
            topic_id=watch.topic_id,
            new_lane=self._new_lane,
            before_revoke=self._before_revoke,
        )
        try:
            self._partitions.subscribe()
            self._deliver_until(stop, watch)
            self._drain(_STOP_DRAIN_S, set(self._partitions.lanes.values()))
            self._partitions.commit(wait=True)
        finally:
            self._revoke_drain_s = 0.0  # what leaves now has had its time
            self._consumer.close()
            self._pool.close()
            client.close()

    def _deliver_until(self, stop: threading.Event, watch: TopicWatch) -> None:
        next_commit = 0.0
        while not stop.is_set():
            watch.check()
            wait_s = _POLL_BUSY_S if self._jobs else _POLL_IDLE_S
            self._read(self._consumer.consume(_POLL_EVENTS, wait_s))
            self._apply_results()
            now = time.monotonic()
            is_closed = self._heed_valve()
            self._dispatch(now, send=not is_closed)
            self._partitions.steer(now, waiting=is_closed or self._circuit.is_waiting(now))
            if now >= next_commit:
                next_commit = now + _COMMIT_EVERY_S
                self._partitions.commit(wait=False)
                self._partitions.observe(self._destination.name)
                self._standing.positions = self._partitions.positions

    def _heed_valve(self) -> bool:
        """Whether the destination is paused; one that was resumed is tried at once."""
        if self._valve.take_push():
            self._circuit.retry_now()
            for lane in self._partitions.lanes.values():
                lane.retry_now()
        is_closed = self._valve.is_closed
        if is_closed and not self._was_closed:
            for lane in self._partitions.lanes.values():
                lane.shed()
        self._was_closed = is_closed
        return is_closed

    def _read(self, messages: Sequence[Message]) -> None:
        """Give each message to its lane: here every event passes, so it is one plain loop."""
        now = time.monotonic()
        consumed: Counter[int] = Counter()
        lanes = self._partitions.lanes
        for message in messages:
            if (error := message.error()) is not None:
                self._check(error, message)
                continue
            # Without an error, both are numbers.
            partition: int = message.partition()  # type: ignore[assignment]
            offset: int = message.offset()  # type: ignore[assignment]
            lane = lanes.get(partition)
            if lane is None or (start := lane.admit(offset)) is None:
                continue
            consumed[partition] += 1
            lane.add(_record(message, start, offset), now)
        for partition, count in consumed.items():
            metrics.CONSUMED_EVENTS.labels(self._topic, str(partition)).inc(count)

    def _check(self, error: KafkaError, message: Message) -> None:
        if error.code() == _OFFSET_GONE:
            partition = cast("int", message.partition())
            lane = self._partitions.lanes.get(partition)
            group = self._kafka.group(self._destination.group)
            raise offset_lost(self._topic, partition, lane.read_next if lane else None, group)
        if error.fatal():
            raise KafkaUnreachable(f"{self._topic}: {error.str()}")
        _log.warning(
            "kafka_read_error", destination=self._destination.name, error=error.str()
        )  # the client goes on trying by itself

    def _dispatch(self, now: float, *, send: bool) -> None:
        """Start as many requests as may be under way, the partitions taking turns.

        Without `send`, only ask for the acknowledgement of what was sent.
        """
        self._confirm(now)
        lanes = list(self._partitions.lanes.values()) if send else []
        self._turn += 1
        for number in range(len(lanes)):
            lane = lanes[(self._turn + number) % len(lanes)]
            while self._may_start(lane, now):
                batch = lane.take()
                self._submit(lane, partial(self._sender.send, batch))

    def _confirm(self, now: float) -> None:
        """Ask for the acknowledgements that are due."""
        while self._confirms and self._confirms[0][0] <= now:
            _, _, lane, batch, accepted = heapq.heappop(self._confirms)
            self._unacknowledged -= len(batch.records)
            self._submit(lane, partial(self._sender.confirm, batch, accepted))

    def _may_start(self, lane: Lane, now: float) -> bool:
        free = (
            self._jobs.total() < self._destination.settings.requests_in_flight
            and self._unacknowledged < _UNACKNOWLEDGED_EVENTS
        )
        return free and lane.is_ready(now) and self._circuit.try_acquire(now)

    def _submit(self, lane: Lane, request: Callable[[], Settlement]) -> None:
        self._jobs[lane] += 1
        self._pool.submit(lambda: self._results.put((lane, request())))

    def _apply_results(self) -> None:
        while True:
            try:
                lane, settlement = self._results.get_nowait()
            except Empty:
                return
            self._apply(lane, settlement)

    def _apply(self, lane: Lane, settlement: Settlement) -> None:
        """Take in what came of a request. Of a lane that is gone, only the circuit learns."""
        now = time.monotonic()
        self._jobs[lane] -= 1
        self._jobs += Counter()  # drops what is zero
        self._judge(settlement.outcome, now)
        if self._partitions.lanes.get(lane.partition) is not lane:
            return
        batch, outcome = settlement.batch, settlement.outcome
        lane.settle(settlement.done)
        if isinstance(outcome, Accepted):
            self._wait(lane, batch, outcome, now)
            return
        lane.land(batch)
        again = settlement.again
        if not again:
            lane.succeed()
        elif isinstance(outcome, Rejected) and len(again) > 1 and is_to_split(batch, outcome):
            lane.split(again)
        else:
            lane.retry(batch, again, now)

    def _wait(self, lane: Lane, batch: Batch, accepted: Accepted, now: float) -> None:
        due = now + min(accepted.check_after_s, self._confirm_at_most_s)
        heapq.heappush(self._confirms, (due, next(self._serial), lane, batch, accepted))
        self._unacknowledged += len(batch.records)

    def _judge(self, outcome: Outcome | Unsent, now: float) -> None:
        """Tell the circuit and the standing what an answer says about the destination."""
        match outcome:
            case Unsent():
                self._circuit.abstain()
            case Blocked(code, reason, final):
                self._standing.alarm(code, reason)
                self._trip(now, math.inf if final else None)
            case Failed(code, reason, retry_after_s, throttled):
                self._standing.failed(code, reason)
                if code == DEAD_LETTER_UNWRITTEN:
                    self._standing.alarm(code, reason)
                if throttled or retry_after_s is not None:
                    self._trip(now, retry_after_s)
                else:
                    self._circuit.fail(now)
                    self._shed_if_open()
            case Rejected(code, reason):
                self._standing.failed(code, reason)
                self._circuit.succeed()  # it answers; the payload is to blame
            case Accepted():
                pass  # no news: a circuit that is half open waits for the acknowledgement
            case _:
                self._standing.succeeded()
                self._circuit.succeed()

    def _trip(self, now: float, delay_s: float | None) -> None:
        self._circuit.open_for(now, delay_s)
        self._shed_if_open()

    def _shed_if_open(self) -> None:
        if self._circuit.state is CircuitState.OPEN:
            for lane in self._partitions.lanes.values():
                lane.shed()

    def _committed(self, error: KafkaError | None, found: list[TopicPartition]) -> None:
        self._partitions.committed(error, found)

    def _before_revoke(self, leaving: Sequence[Lane]) -> None:
        self._drain(self._revoke_drain_s, set(leaving))

    def _drain(self, timeout_s: float, lanes: AbstractSet[Lane]) -> None:
        """Take in answers and acknowledgements of `lanes`, for `timeout_s` seconds at most."""
        self._confirm_at_most_s = _STOP_CONFIRM_S
        self._confirms = [(0.0, *entry[1:]) for entry in self._confirms]
        heapq.heapify(self._confirms)
        deadline = time.monotonic() + timeout_s
        while self._is_waiting_for(lanes) and (left_s := deadline - time.monotonic()) > 0:
            self._confirm(time.monotonic())
            try:
                self._apply(*self._results.get(timeout=min(left_s, _POLL_IDLE_S)))
            except Empty:
                continue
        self._confirm_at_most_s = math.inf

    def _is_waiting_for(self, lanes: AbstractSet[Lane]) -> bool:
        return any(self._jobs[lane] for lane in lanes) or any(
            entry[2] in lanes for entry in self._confirms
        )

    def _new_lane(self, partition: int, start: int) -> Lane:
        self._standing.began()
        return Lane(self._topic, partition, start, limits=self._limits, backoff=self._backoff())

    def _backoff(self) -> Backoff:
        settings = self._destination.settings
        return Backoff(settings.retry_base_s, settings.retry_cap_s)


def is_to_split(batch: Batch, blame: Rejected) -> bool:
    """Whether to look for the one event a refusal is about, rather than send all of it again."""
    return blame.too_large or batch.suspect or batch.attempts + 1 >= BLAMED_ATTEMPTS


def _record(message: Message, start: int, offset: int) -> Record:
    found = message.headers() or ()
    headers = tuple(found.items() if isinstance(found, dict) else found)
    return Record(start, offset, message.timestamp()[1], message.key(), message.value(), headers)
