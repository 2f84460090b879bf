"""Dead letters: records that could not be processed, kept whole with the reason.

A dead letter carries the original value, key and headers unchanged; behind them, beginning with
`audit.code`, stand the headers in which the pipeline says what happened.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from auditbus.runtime import metrics
from auditbus.runtime.errors import DeliveryFailed

__all__ = ["DeadLetter", "DeadLetterWriter", "Header", "Origin"]

Header = tuple[str, str | bytes | None]
_PREFIX = "audit."
_MAX_REASON_BYTES = 1_000


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the record lay; `timestamp_ms` is the broker's, -1 where unknown."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that could not be processed.

    `code` is short and bounded (a metric label), `reason` a sentence for people that never quotes
    the event, `stage` who refused it: stream, clickhouse-sink, forwarder.<destination>.
    `headers` are the original ones. `extra` adds `audit.*` headers, such as a destination's answer.
    """

    value: bytes | None
    key: bytes | None
    headers: tuple[Header, ...]
    code: str
    reason: str
    stage: str
    origin: Origin
    extra: tuple[tuple[str, str], ...] = ()

    def wire_headers(self) -> list[Header]:
        """Return the headers to write: the original ones, then the pipeline's."""
        reason = self.reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        own = {
            "code": self.code,
            "reason": reason,
            "stage": self.stage,
            "origin.topic": self.origin.topic,
            "origin.partition": str(self.origin.partition),
            "origin.offset": str(self.origin.offset),
            "origin.timestamp_ms": str(self.origin.timestamp_ms),
            **dict(self.extra),
        }
        return [*self.headers, *((_PREFIX + name, text.encode()) for name, text in own.items())]

    @classmethod
    def from_message(cls, message: Message) -> DeadLetter:
        """Read a dead letter back; what another program left out reads as `unknown` or -1."""
        found = message.headers() or []
        all_headers: Sequence[Header] = list(found.items()) if isinstance(found, dict) else found
        begin = _begin_of_own(all_headers)
        own = {name.removeprefix(_PREFIX): _text(value) for name, value in all_headers[begin:]}
        origin = Origin(
            own.pop("origin.topic", "unknown"),
            _number(own.pop("origin.partition", "")),
            _number(own.pop("origin.offset", "")),
            _number(own.pop("origin.timestamp_ms", "")),
        )
        return cls(
            value=message.value(),
            key=message.key(),
            headers=tuple(all_headers[:begin]),
            code=own.pop("code", "unknown"),
            reason=own.pop("reason", "unknown"),
            stage=own.pop("stage", "unknown"),
            origin=origin,
            extra=tuple(sorted(own.items())),
        )


class DeadLetterWriter:
    """Writes dead letters to one topic; `flush` is the proof that they are written.

    Not written means not acknowledged: the caller must not commit past a dead letter before
    `flush` returns. Safe to use from several threads with one producer.
    """

    def __init__(self, producer: Producer, topic: str) -> None:
        """Write to `topic` through `producer` (idempotent, acks=all)."""
        self._producer = producer
        self._topic = topic
        self._failure: KafkaError | None = None
        self._lock = threading.Lock()

    def write(self, letter: DeadLetter) -> None:
        """Hand over one dead letter; blocks while the producer's queue is full."""
        while True:
            try:
                self._producer.produce(
                    self._topic,
                    value=letter.value,
                    key=letter.key,
                    headers=letter.wire_headers(),
                    on_delivery=self._on_delivery,
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                raise self._failed(error.args[0]) from error
            else:
                break
        metrics.DEAD_LETTERS.labels(letter.stage, letter.code).inc()
        self._producer.poll(0)

    def flush(self, timeout_s: float = 30.0) -> None:
        """Block until all written so far are acknowledged.

        Raises DeliveryFailed when one was not: retry from the last commit, drop nothing.
        """
        left = self._producer.flush(timeout_s)
        with self._lock:
            failure, self._failure = self._failure, None
        if failure is not None:
            raise self._failed(failure)
        if left:
            raise DeliveryFailed(
                f"no acknowledgement within {timeout_s:g} s", topic=self._topic, may_retry=True
            )

    def _on_delivery(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            with self._lock:
                self._failure = error

    def _failed(self, error: KafkaError) -> DeliveryFailed:
        return DeliveryFailed(
            f"dead letter not written: {error.str()}", topic=self._topic, may_retry=True
        )


def _begin_of_own(headers: Sequence[Header]) -> int:
    """Return where the pipeline's headers begin: a client's may have the same names."""
    places = [place for place, (name, _) in enumerate(headers) if name == f"{_PREFIX}code"]
    return places[-1] if places else len(headers)


def _text(value: str | bytes | None) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        return -1
