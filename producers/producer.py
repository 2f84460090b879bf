"""`AuditProducer`: publish audit events to Kafka, in order per account, without blocking."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, Unpack

from confluent_kafka import KafkaException, Producer

from auditbus.producers.assembly import EventAssembler
from auditbus.producers.configuration import Option, producer_config
from auditbus.producers.delivery import Delivery, DeliveryLedger
from auditbus.producers.fields import EventFields
from auditbus.producers.redaction import Redactor
from auditbus.runtime.errors import DeliveryFailed, ProducerClosed, QueueFull, SettingsError
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.topics import TopicNames

__all__ = ["AuditProducer"]

_log = logging.getLogger("auditbus.producers")
_POLL_S = 0.1
_PURGE_TIMEOUT_S = 5.0


class AuditProducer:
    """Publishes audit events: idempotent, acknowledged by all replicas, keyed by account id.

    One per process, made after any fork, shared by all threads. A daemon thread of its own serves
    the delivery reports, so that a failure is told without another `emit`. Close it, or use it as
    a context manager: events still queued when the interpreter ends are lost.

        with AuditProducer("kafka:9092") as audit:
            audit.emit(
                action="StorageDeleted",
                account={"id": "acme"},
                actor={"type": "user", "id": "u-17", "email": "ann@example.com"},
                targets=[{"type": "storage", "id": "s-1", "name": "Primary"}],
            )
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
        delivery_timeout_s  an event not acknowledged by then has failed.
        options             more librdkafka options: `security.protocol`, `sasl.*`, `ssl.*`,
                            `compression.type` (default lz4), `linger.ms` (5), queue sizes.

        Raises SettingsError for an option that is unknown, wrong, or not the caller's to choose.
        """
        config = producer_config(bootstrap_servers, client_id, delivery_timeout_s, options or {})
        try:
            self._producer = Producer(config)
        except (KafkaException, TypeError, ValueError) as error:
            # librdkafka names the option; it quotes values of fixed choices only, never a secret.
            reason = error.args[0].str() if isinstance(error, KafkaException) else str(error)
            raise SettingsError(f"AuditProducer options: {reason}") from None
        self._topic = topic
        self._assemble = EventAssembler(
            operator_account, catalogue or Catalogue.builtin(), redactor
        )
        self._ledger = DeliveryLedger()
        self._emitted = 0
        self._pid = os.getpid()
        self._closed = False
        self._lock = threading.RLock()  # a signal handler may emit while its own thread emits
        self._stop = threading.Event()
        # The thread holds no reference to self: a producer that is dropped ends its thread.
        self._poller = threading.Thread(
            target=_serve_reports,
            args=(self._producer, self._ledger, self._stop),
            name="auditbus-producer",
            daemon=True,
        )
        self._poller.start()
        weakref.finalize(self, self._stop.set)

    def emit(
        self, event: Mapping[str, Any] | None = None, /, **fields: Unpack[EventFields]
    ) -> Delivery:
        """Queue one event for Kafka and return its delivery handle. Never blocks.

        Takes the fields as keywords, or a ready mapping (which may hold unknown fields), or both:
        keywords win. Fills what is absent: `id`, `schema_version`, `occurred_at` (now), `account`
        (the operator's), `description` (the catalogue's).

        Raises InvalidEvent, naming the field, for what breaks the schema; QueueFull when the
        queue has no room (nothing was taken: try later); ProducerClosed after `close`, and in a
        process forked after the producer was made; DeliveryFailed when the producer is broken
        for good. What goes wrong later is told by the handle.
        """
        raw, key, event_id = self._assemble({**(event or {}), **fields})
        self._refuse_fork()
        delivery = Delivery(event_id, self._ledger)
        with self._lock:  # close() must not slip in between the check and the queue
            if self._closed:
                raise ProducerClosed("the producer is closed")
            try:
                self._producer.produce(self._topic, raw, key, on_delivery=delivery.on_report)
            except BufferError:
                raise QueueFull(
                    f"the queue is full: {self._waiting():,} events wait for Kafka"
                ) from None
            except KafkaException as error:
                raise DeliveryFailed(
                    f"event {event_id}: {error.args[0].str()}", topic=self._topic
                ) from error
            self._emitted += 1
        return delivery

    def emit_and_wait(
        self,
        event: Mapping[str, Any] | None = None,
        /,
        *,
        timeout_s: float = 10.0,
        **fields: Unpack[EventFields],
    ) -> Delivery:
        """Publish one event and block until Kafka has acknowledged it.

        Raises what `emit` raises, and DeliveryFailed when the event failed or no acknowledgement
        came within `timeout_s` seconds.
        """
        delivery = self.emit(event, **fields)
        delivery.wait(timeout_s)
        return delivery

    def flush(self, timeout_s: float = 30.0) -> None:
        """Block until no event waits any more: each is acknowledged or has failed.

        Raises DeliveryFailed, with their `count`, when some are still unacknowledged after
        `timeout_s` seconds (they stay queued), or have failed and nobody has heard of it yet.
        """
        self._refuse_fork()
        self._producer.flush(timeout_s)
        self._tell_failures(f"still unacknowledged after {timeout_s:g} s")

    def close(self, timeout_s: float = 30.0) -> None:
        """Flush for at most `timeout_s` seconds, give up what is left, and stop.

        Raises DeliveryFailed as `flush` does; every handle is done by then. A second call does
        nothing, nor does one in a forked process.
        """
        if self._pid != os.getpid():  # before the lock: a thread of the parent may have held it
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._producer.flush(timeout_s)
        if self._waiting():
            self._producer.purge()
            self._producer.flush(_PURGE_TIMEOUT_S)  # reports the purged ones to their handles
        self._stop.set()
        if threading.current_thread() is not self._poller:
            self._poller.join()
        self._tell_failures("given up")

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

    def _refuse_fork(self) -> None:
        if self._pid != os.getpid():
            raise ProducerClosed(
                f"this producer belongs to process {self._pid}, from which process {os.getpid()} "
                "was forked: make one after the fork (gunicorn: in post_fork)"
            )

    def _waiting(self) -> int:
        # Not len(self._producer): librdkafka counts its own log lines too.
        return self._emitted - self._ledger.done

    def _tell_failures(self, fate: str) -> None:
        waiting = self._waiting()
        failed = self._ledger.take_unseen()
        parts = []
        if failed:
            parts.append(f"{failed} failed, the last: {self._ledger.last_failure}")
        if waiting:
            parts.append(f"{waiting} {fate}")
        if parts:
            raise DeliveryFailed(
                f"{failed + waiting} events were not acknowledged: {'; '.join(parts)}",
                topic=self._topic,
                may_retry=bool(waiting),
                count=failed + waiting,
            )


def _serve_reports(producer: Producer, ledger: DeliveryLedger, stop: threading.Event) -> None:
    """Serve delivery reports until told to stop; log failures once a burst, never the events."""
    logged = 0
    while not stop.is_set():
        producer.poll(_POLL_S)
        if failed := ledger.failed - logged:
            logged += failed
            _log.error("%d audit events not delivered, the last: %s", failed, ledger.last_failure)
