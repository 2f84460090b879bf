"""`AuditProducer`: publish audit events to Kafka, in order per account, without blocking."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self, Unpack

import orjson
from confluent_kafka import KafkaException, Producer

from auditbus.producers import lifetime
from auditbus.producers.assembly import Assembled, EventAssembler, too_large
from auditbus.producers.certainty import Certainty, CertaintyByAction, refuse_in_event_loop
from auditbus.producers.configuration import Option, producer_config
from auditbus.producers.delivery import Delivery, DeliveryLedger
from auditbus.producers.fields import EventFields
from auditbus.producers.metrics import ProducerMetrics
from auditbus.producers.outbox import Outbox
from auditbus.producers.redaction import Redactor
from auditbus.producers.sequence import Stamp
from auditbus.producers.spool.options import Spool
from auditbus.runtime.errors import DeliveryFailed, ProducerClosed, PublishError, SettingsError
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.event import MAX_EVENT_BYTES
from auditbus.schemas.topics import TopicNames

__all__ = ["AuditProducer"]

_log = logging.getLogger("auditbus.producers")
_EXIT_TIMEOUT_S = 5.0


class AuditProducer:
    """Publishes audit events: idempotent, acknowledged by all replicas, keyed by account id.

    One per process, shared by all threads. A daemon thread of its own serves the delivery reports,
    so that a failure is told without another `emit`. Close it, or use it as a context manager.

        with AuditProducer("kafka:9092") as audit:
            audit.emit(
                action="StorageDeleted",
                account={"id": "acme"},
                actor={"type": "user", "id": "u-17", "email": "ann@example.com"},
                targets=[{"type": "storage", "id": "s-1", "name": "Primary"}],
            )

    In a process forked after it was made (gunicorn with `preload_app`) it opens itself anew at the
    first use: a connection, a lane of the spool and a sequence of its own. When the interpreter
    ends without `close`, it closes itself within 5 s, and logs how many events that lost; with a
    spool, none. A process that ends without running Python's exit handlers (`os._exit`, a child of
    `multiprocessing`, a kill) keeps what is spooled, and nothing else.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        topic: str = TopicNames().events,
        operator_account: str = "system",
        catalogue: Catalogue | None = None,
        redactor: Redactor | None = None,
        client_id: str = "auditbus-producer",
        service: str | None = None,
        version: str | None = None,
        instance: str | None = None,
        delivery: Mapping[str, Certainty] | None = None,
        default_delivery: Certainty = "best_effort",
        spool: Spool | None = None,
        delivery_timeout_s: float = 120.0,
        options: Mapping[str, Option] | None = None,
    ) -> None:
        """Connect in the background; returns at once, whether or not a broker answers.

        bootstrap_servers   `HOST:PORT`, several with commas.
        topic               the topic of raw events.
        operator_account    the account id of events that name no account.
        catalogue           gives the default descriptions (default: the built-in actions).
        redactor            takes the secrets out (default: the built-in rules).
        client_id           librdkafka's `client.id`: who is writing, in the broker's logs.
        service, version    what publishes, for the events' `producer`.
        instance            which one of them (default: made up for each process).
        delivery            the certainty of actions by name; `default_delivery` that of the rest.
        spool               keep events on disk while Kafka can't take them (default: don't).
        delivery_timeout_s  an event not acknowledged by then has failed; with a spool, never.
        options             more librdkafka options: `security.protocol`, `sasl.*`, `ssl.*`,
                            `compression.type` (default lz4), `linger.ms` (5), queue sizes.

        Raises SettingsError for an option that is unknown, wrong, or not the caller's to choose,
        and for a spool directory that can't be used.
        """
        config = producer_config(
            bootstrap_servers, client_id, None if spool else delivery_timeout_s, options or {}
        )
        self._assemble = EventAssembler(
            operator_account, catalogue or Catalogue.builtin(), redactor
        )
        self._certainty = CertaintyByAction(delivery or {}, default_delivery)
        # Functions, not attributes: the configuration may hold secrets, and no repr shows these.
        self._open: Callable[[str | None], Outbox] = lambda suffix: _open_outbox(
            lambda: _connect(config),
            topic,
            Stamp(service, version, _instance(instance, suffix)),
            spool,
        )
        self._open_lock = threading.RLock()
        self._outbox: Outbox | None = None
        self._closed = False
        self._retire: weakref.finalize[[], AuditProducer] | None = None
        self._started(self._open(None))
        lifetime.register(self, AuditProducer._after_fork_in_child, AuditProducer._at_exit)

    def emit(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: Certainty | None = None,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Delivery:
        """Take one event and return its delivery handle. Best effort never blocks.

        Takes the fields as keywords, or a ready mapping (which may hold unknown fields), or both:
        keywords win. Fills what is absent: `id`, `schema_version`, `occurred_at` (now), `account`
        (the operator's), `description` (the catalogue's), `producer` (this one's stamp and number;
        an event that brings a `producer` keeps it and gets no number: it was published before).

        `delivery` is the certainty of this call (default: the action's; see `Certainty`). An event
        that is `acknowledged` or `fail_closed` blocks for at most `timeout_s` seconds.

        Raises InvalidEvent, naming the field, for what breaks the schema; QueueFull when the
        queue has no room, SpoolFull when the spool has none either (nothing was taken: try
        later); ProducerClosed after `close`; WouldBlock where it would block an event loop;
        DeliveryFailed when what was asked did not come true in time, or the producer is broken
        for good. What goes wrong later is told by the handle.
        """
        filled: dict[str, Any] = {**(event or {}), **fields}
        if delivery is None and self._certainty.is_best_effort:
            certainty: Certainty = "best_effort"
        else:
            certainty = self._certainty.of(filled.get("action"), delivery)
        if certainty != "best_effort":
            refuse_in_event_loop()
        stamped = filled.get("producer") is not None
        if not stamped:
            filled.pop("producer", None)  # a null would stand beside the stamp
        raw, key, event_id = self._assemble(filled)
        outbox = self._outbox or self._reopened()
        if not stamped and len(raw) + outbox.stamp.max_bytes > MAX_EVENT_BYTES:
            raise too_large(filled, len(raw) + outbox.stamp.max_bytes)
        if certainty == "best_effort":
            return outbox.take(raw, key, event_id, stamped=stamped, may_spool=True)
        if certainty == "acknowledged":
            taken = outbox.take(raw, key, event_id, stamped=stamped, may_spool=True)
            taken.wait(timeout_s)
            if taken.spooled:
                outbox.secure()
            return taken
        return self._fail_closed(outbox, (raw, key, event_id), stamped, timeout_s)

    def emit_assembled(self, event: Assembled, *, stamped: bool = False) -> Delivery:
        """Take an event that an EventAssembler made, maybe in another process; best effort.

        What is bound to the context, and this producer's redactor, do not touch it. `stamped` tells
        that it has a `producer` of its own. Raises as `emit` does.
        """
        outbox = self._outbox or self._reopened()
        raw, key, event_id = event
        if not stamped and len(raw) + outbox.stamp.max_bytes > MAX_EVENT_BYTES:
            raise too_large(orjson.loads(raw), len(raw) + outbox.stamp.max_bytes)
        return outbox.take(raw, key, event_id, stamped=stamped, may_spool=True)

    def _fail_closed(
        self, outbox: Outbox, assembled: tuple[bytes, bytes, str], stamped: bool, timeout_s: float
    ) -> Delivery:
        deadline_s = time.monotonic() + timeout_s
        if not outbox.wait_live(timeout_s):  # spooled events of its account come first
            raise DeliveryFailed(
                f"event {assembled[2]}: Kafka took no event within {timeout_s:g} s", may_retry=True
            )
        taken = outbox.take(*assembled, stamped=stamped, may_spool=False)
        try:
            taken.wait(max(0.0, deadline_s - time.monotonic()))
        except DeliveryFailed:
            outbox.recall(taken)
            raise
        return taken

    def emit_and_wait(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Delivery:
        """Publish one event and block until it is acknowledged: `emit` with `delivery` so."""
        return self.emit(event, delivery="acknowledged", timeout_s=timeout_s, **fields)

    async def emit_async(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        delivery: Certainty | None = None,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Delivery:
        """Do as `emit` does, in a thread where it may block; the event loop goes on.

        Cancelling it does not take the event back.
        """
        action = fields.get("action", (event or {}).get("action"))
        if self._certainty.of(action, delivery) == "best_effort":
            return self.emit(event, delivery="best_effort", **fields)
        return await asyncio.to_thread(
            lambda: self.emit(event, delivery=delivery, timeout_s=timeout_s, **fields)
        )

    def certainty_of(self, action: object) -> Certainty:
        """Return the certainty of this action's events, where a call does not choose."""
        return self._certainty.of(action, None)

    def metrics(self) -> ProducerMetrics:
        """Return what this producer has taken and what became of it, in this process; cheap."""
        return ProducerMetrics() if self._outbox is None else self._outbox.metrics()

    def flush(self, timeout_s: float = 30.0) -> None:
        """Block until no event waits any more: each is acknowledged or has failed.

        With a spool it also waits for that to be drained, as long as Kafka takes any.
        Raises DeliveryFailed, with their `count`, when some are still unacknowledged after
        `timeout_s` seconds (they stay queued), or have failed and nobody has heard of it yet.
        Spooled events are neither.
        """
        if (outbox := self._outbox) is not None:
            outbox.flush(timeout_s)
            outbox.tell_failures(f"still unacknowledged after {timeout_s:g} s")

    def close(self, timeout_s: float = 30.0) -> None:
        """Flush for at most `timeout_s` seconds, give up or spool what is left, and stop.

        Raises DeliveryFailed as `flush` does; every handle is done by then. A second call does
        nothing. Closing in a forked process closes nothing of the parent's.
        """
        self._closed = True
        if (outbox := self._outbox) is None:
            return
        if self._retire is not None:
            self._retire.detach()
        outbox.close(timeout_s)

    def __enter__(self) -> Self:
        """Return the producer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; events that were not acknowledged raise, or annotate the error on its way."""
        try:
            self.close()
        except DeliveryFailed as lost:
            if error is None:
                raise
            error.add_note(f"auditbus: {lost}")

    def _after_fork_in_child(self) -> None:
        """Give up what belongs to the parent process."""
        self._open_lock = threading.RLock()
        outbox, self._outbox = self._outbox, None
        if self._retire is not None:
            self._retire.detach()
        if outbox is not None:
            outbox.forsake()

    def _at_exit(self) -> None:
        """Close, and log what that lost."""
        if self._outbox is None:
            return
        try:
            self.close(_EXIT_TIMEOUT_S)
        except PublishError as lost:
            _log.error("the interpreter ended before close(): %s", lost)

    def _reopened(self) -> Outbox:
        """Return the outbox of a forked process, made at its first use."""
        with self._open_lock:
            if self._closed:
                raise ProducerClosed("the producer is closed")
            if self._outbox is None:
                self._started(self._open(f"fork-{os.getpid()}"))
            assert self._outbox is not None  # noqa: S101 -- for the type checker
            return self._outbox

    def _started(self, outbox: Outbox) -> None:
        self._outbox = outbox
        # The thread holds no reference to self: a producer that is dropped ends its thread.
        self._retire = weakref.finalize(self, outbox.retire)
        self._retire.atexit = False
        outbox.start()


def _connect(config: Mapping[str, Any]) -> Producer:
    try:
        return Producer(dict(config))
    except (KafkaException, TypeError, ValueError) as error:
        # librdkafka names the option; it quotes values of fixed choices only, never a secret.
        reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
        raise SettingsError(f"AuditProducer options: {reason}") from None


def _open_outbox(
    connect: Callable[[], Producer], topic: str, stamp: Stamp, spool: Spool | None
) -> Outbox:
    if spool is None:
        return Outbox(connect, topic, stamp, DeliveryLedger())
    from auditbus.producers.spool.outbox import SpoolingOutbox  # needs flock: POSIX alone

    return SpoolingOutbox(connect, topic, stamp, spool)


def _instance(given: str | None, suffix: str | None) -> str | None:
    """Return an instance name that a forked process does not share with its parent."""
    return given if given is None or suffix is None else f"{given}.{suffix}"
