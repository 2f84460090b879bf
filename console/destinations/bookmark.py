"""How far a replay went, in the control topic under `replay/NAME/ID`."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from datetime import datetime

import msgspec
import orjson

from auditbus.console.destinations.stored import Place
from auditbus.console.query.predicate import Predicate
from auditbus.sinks.siem.control import ControlWriter

__all__ = ["Bookmark", "Period", "Progress", "replay_key"]

_REMEMBER_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Period:
    """When events were received. `words` are how the person said it, which names the replay."""

    since: datetime
    until: datetime
    words: str


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a replay went; its record in the control topic. Times in ms since 1970."""

    since_ms: int
    until_ms: int
    done: int
    too_old: int
    after: Place | None
    is_finished: bool
    at_ms: int


class Bookmark:
    """How far a replay has gone, written now and then."""

    def __init__(
        self, writer: ControlWriter, key: str, period: Period, before: Progress | None
    ) -> None:
        self.done = before.done if before else 0
        self._too_old = before.too_old if before else 0
        self._after = before.after if before else None
        self._writer = writer
        self._key = key
        self._period = period
        self._is_finished = False
        self._next_write = 0.0

    def move(self, read: int, too_old: int, last: Place) -> None:
        """Note that `read` more events, up to `last`, are settled."""
        self.done += read
        self._too_old += too_old
        self._after = last
        if (now := time.monotonic()) >= self._next_write:
            self._next_write = now + _REMEMBER_EVERY_S
            self.write()

    def finish(self) -> None:
        """Note that nothing is left."""
        self._is_finished = True

    def write(self) -> None:
        """Write it, and wait until Kafka has it. Raises DeliveryFailed."""
        self._writer.put_now(
            self._key,
            Progress(
                since_ms=_ms(self._period.since),
                until_ms=_ms(self._period.until),
                done=self.done,
                too_old=self._too_old,
                after=self._after,
                is_finished=self._is_finished,
                at_ms=time.time_ns() // 1_000_000,
            ),
        )


def replay_key(destination: str, wanted: Predicate, period: Period) -> str:
    """Name what was asked for: the same words give the same key."""
    asked = [period.words, wanted.sql, dict(sorted(wanted.parameters.items()))]
    name = hashlib.sha256(orjson.dumps(asked, default=str)).hexdigest()[:16]
    return f"replay/{destination}/{name}"


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
