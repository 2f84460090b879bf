"""The command line's own record: who does what to the log is in the log before it is done."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from auditbus.console.own_events import own_producer
from auditbus.console.retention import Record, Recorded
from auditbus.runtime.settings import Settings

__all__ = ["emitting", "operator", "recording"]

_TIMEOUT_S = 30.0


def operator() -> str:
    """Return who runs the command, as far as this machine knows: USER@HOST."""
    return f"{getpass.getuser()}@{socket.gethostname()}"


@contextmanager
def emitting(settings: Settings, client_id: str) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Yield what publishes an event of the operator, and returns once Kafka has it.

    Raises KafkaUnreachable or TopicMisconfigured, and from within DeliveryFailed.
    """
    with own_producer(settings, client_id) as producer:

        def emit(event: Mapping[str, Any]) -> None:
            producer.emit_and_wait(event, timeout_s=_TIMEOUT_S)

        yield emit


@contextmanager
def recording(settings: Settings, client_id: str) -> Iterator[Record]:
    """Yield a Record that returns once Kafka has the event. Raises what `emitting` raises."""
    with emitting(settings, client_id) as emit:

        def record(done: Recorded) -> None:
            emit(done.as_event(operator()))

        yield record
