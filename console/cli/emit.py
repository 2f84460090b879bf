"""`auditbus emit`: publish events from NDJSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import BinaryIO

import click

from auditbus.console.cli.exit_codes import ExitCode
from auditbus.console.cli.options import pipeline_settings
from auditbus.console.cli.safe_text import printable
from auditbus.console.cli.terminal import note, progress
from auditbus.producers import AuditProducer, Delivery, DeliveryFailed, InvalidEvent, QueueFull
from auditbus.runtime.errors import TopicMisconfigured
from auditbus.runtime.kafka import client_config, new_admin
from auditbus.runtime.settings import Settings
from auditbus.runtime.topic_admin import describe_topics
from auditbus.schemas.catalogue import Catalogue
from auditbus.schemas.event import MAX_EVENT_BYTES
from auditbus.schemas.validation import parse_object

__all__ = ["emit"]

_DELIVERY_TIMEOUT_S = 30.0
_QUEUE_WAIT_S = 0.02
_PROGRESS_EVERY = 1_000
_LINE_BYTES = MAX_EVENT_BYTES + 4096
_PLAIN = str | int | float | bool


@click.command(
    epilog="""\b
Examples:
  auditbus emit events.ndjson
  echo '{"action": "Login", "account": {"id": "acme"},
         "actor": {"type": "user", "id": "u-17"}}' | tr -d '\\n' | auditbus emit

One JSON object a line. id, schema_version, occurred_at, account and description are filled in
where they are absent, as the producer SDK does. What is refused is named by line and field."""
)
@click.argument("file", type=click.File("rb"), default="-")
@pipeline_settings
def emit(settings: Settings, file: BinaryIO) -> None:
    """Publish the events of FILE (default: standard input), one JSON object a line."""
    tally = _Tally()
    _check_topic(settings)
    with _producer(settings) as producer, progress() as shown:
        task = shown.add_task("publishing", total=None)
        try:
            for number, line in _lines(file):
                _emit_line(producer, tally, number, line)
                if number % _PROGRESS_EVERY == 0:
                    shown.update(task, completed=number)
        finally:
            # Also when interrupted: what was queued is published, and counted.
            tally.wait(_DELIVERY_TIMEOUT_S)
            click.echo(f"published {tally.published}, rejected {tally.rejected}")
    if tally.undelivered:
        raise DeliveryFailed(
            f"{tally.undelivered} events were not acknowledged; "
            "check AUDITBUS_KAFKA_BOOTSTRAP_SERVERS and publish them again"
        )
    if tally.rejected:
        click.get_current_context().exit(ExitCode.REFUSED)


class _Tally:
    """What became of the lines. Deliveries are counted from the producer's own thread."""

    def __init__(self) -> None:
        self.rejected = 0
        self._queued = 0
        self._failed = 0
        self._published = 0
        self._changed = threading.Condition()

    @property
    def published(self) -> int:
        return self._published

    @property
    def undelivered(self) -> int:
        """Count what Kafka refused, and what it has not acknowledged."""
        return self._queued - self._published

    def reject(self, number: int, error: InvalidEvent) -> None:
        self.rejected += 1
        note(f"line {number}: {printable(str(error))}")

    def follow(self, number: int, delivery: Delivery) -> None:
        self._queued += 1
        delivery.add_done_callback(lambda done: self._settle(number, done))

    def wait(self, timeout_s: float) -> None:
        """Wait until every delivery is settled, at most `timeout_s` seconds."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._published + self._failed == self._queued, timeout_s
            )

    def _settle(self, number: int, delivery: Delivery) -> None:
        failure = delivery.exception
        with self._changed:
            if failure is None:
                self._published += 1
            else:
                self._failed += 1
            self._changed.notify_all()
        if failure is not None:
            note(f"line {number}: not published: {failure}")


def _emit_line(producer: AuditProducer, tally: _Tally, number: int, line: bytes) -> None:
    try:
        fields = parse_object(line)
        while True:
            try:
                delivery = producer.emit(fields)
            except QueueFull:
                time.sleep(_QUEUE_WAIT_S)  # ends: what waits is delivered, or times out
            else:
                break
    except InvalidEvent as error:
        tally.reject(number, error)
    else:
        tally.follow(number, delivery)


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that are not blank, with their numbers from 1.

    No more of a line is held than makes it too large to be an event.
    """
    number = 0
    while line := file.readline(_LINE_BYTES):
        number += 1
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = file.readline(_LINE_BYTES)
        if stripped := line.strip(b" \t\r\n"):
            yield number, stripped


def _producer(settings: Settings) -> AuditProducer:
    options = client_config(settings.kafka)
    servers = str(options.pop("bootstrap.servers"))
    return AuditProducer(
        servers,
        topic=settings.kafka.topics.events,
        operator_account=settings.operator_account,
        catalogue=Catalogue.load(settings.catalogue),
        client_id="auditbus-emit",
        delivery_timeout_s=_DELIVERY_TIMEOUT_S,
        options={name: value for name, value in options.items() if isinstance(value, _PLAIN)},
    )


def _check_topic(settings: Settings) -> None:
    """Ask first: a client alone would wait for a broker or topic that is not there."""
    topic = settings.kafka.topics.events
    if topic not in describe_topics(new_admin(settings.kafka), [topic]):
        raise TopicMisconfigured(f"{topic}: missing; run: auditbus topics create")
