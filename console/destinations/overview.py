"""How every destination stands: what forwarders last said, and how far Kafka says they are.

It works while no forwarder runs, and then says how old the news is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import add

from auditbus.runtime.consumer_groups import group_progress
from auditbus.runtime.settings import KafkaSettings, Settings
from auditbus.sinks.siem.control import Pause, Status, decode, pause_key, read_control
from auditbus.sinks.siem.standing import State, Trouble
from auditbus.sinks.siem.tally import Counts

__all__ = ["Overview", "Reports", "overview", "read_reports"]

_SILENT_AFTER_MS = 45_000  # three times as long as a forwarder is ever silent
_QUESTIONS_AT_A_TIME = 8
_WORST_FIRST = (State.BLOCKED, State.RETRYING, State.PAUSED, State.DELIVERING)
NEVER_STARTED, SILENT = "never started", "silent"


@dataclass(frozen=True, slots=True)
class Reports:
    """What the control topic says of one destination."""

    statuses: tuple[Status, ...] = ()
    pause: Pause | None = None

    @property
    def is_paused(self) -> bool:
        """Whether somebody paused it."""
        return self.pause is not None and self.pause.paused

    def live(self, now_ms: int) -> list[Status]:
        """Return the reports of processes that run."""
        return [
            status
            for status in self.statuses
            if status.state is not State.STOPPED and now_ms - status.at_ms < _SILENT_AFTER_MS
        ]

    def state(self, now_ms: int) -> str:
        """Say in a word how it stands; of several processes, the worst counts."""
        live = self.live(now_ms)
        if self.is_paused:
            return State.PAUSED
        if live:
            return min((status.state for status in live), key=_WORST_FIRST.index)
        if not self.statuses:
            return NEVER_STARTED
        newest = max(self.statuses, key=lambda status: status.at_ms)
        return State.STOPPED if newest.state is State.STOPPED else SILENT


@dataclass(frozen=True, slots=True)
class Overview:
    """One destination. `lag` in events. Times in milliseconds since 1970, None where never.

    `counts` are those since `since_ms`, of all processes together. `is_configured`: in the settings
    that this command reads.
    """

    name: str
    kind: str | None
    topic: str
    state: str
    trouble: str | None
    lag: int
    last_success_ms: int | None
    last_error: Trouble | None
    counts: Counts
    since_ms: int | None
    status_ms: int | None
    processes: int
    is_configured: bool


def overview(settings: Settings) -> list[Overview]:
    """Return every destination that is configured or has reported, by name.

    Raises KafkaUnreachable, TopicMisconfigured.
    """
    reports = read_reports(settings.kafka)
    tables = settings.forwarder.destinations
    names = sorted(tables.keys() | {name for name, found in reports.items() if found.statuses})
    with ThreadPoolExecutor(_QUESTIONS_AT_A_TIME) as pool:
        return list(
            pool.map(
                lambda name: _overview(
                    settings.kafka, name, tables.get(name), reports.get(name, Reports())
                ),
                names,
            )
        )


def read_reports(kafka: KafkaSettings) -> dict[str, Reports]:
    """Return what the control topic says, by destination."""
    records = read_control(kafka)
    statuses: dict[str, list[Status]] = {}
    for key, value in records.items():
        if key.startswith("status/") and (status := decode(Status, value)) is not None:
            statuses.setdefault(status.destination, []).append(status)
    paused = {key.partition("/")[2] for key in records if key.startswith("pause/")}
    return {
        name: Reports(
            tuple(statuses.get(name, ())),
            decode(Pause, records[key]) if (key := pause_key(name)) in records else None,
        )
        for name in statuses.keys() | paused
    }


def _overview(
    kafka: KafkaSettings, name: str, table: Mapping[str, object] | None, reports: Reports
) -> Overview:
    now_ms = time.time_ns() // 1_000_000
    statuses = reports.statuses
    newest = max(statuses, key=lambda status: status.at_ms, default=None)
    topic = _topic(table, newest)
    live = reports.live(now_ms)
    errors = [status.last_error for status in statuses if status.last_error is not None]
    return Overview(
        name=name,
        kind=_kind(table, newest),
        topic=topic,
        state=reports.state(now_ms),
        trouble=next((status.trouble for status in live if status.trouble), None),
        lag=_lag(kafka, name, topic),
        last_success_ms=_newest(status.last_success_ms for status in statuses),
        last_error=max(errors, key=lambda error: error.at_ms, default=None),
        counts=reduce(add, (status.counts for status in statuses), Counts()),
        since_ms=min((status.since_ms for status in statuses), default=None),
        status_ms=None if newest is None else newest.at_ms,
        processes=len(live),
        is_configured=table is not None,
    )


def _kind(table: Mapping[str, object] | None, newest: Status | None) -> str | None:
    if table is not None:
        return str(table.get("type"))
    return None if newest is None else newest.kind


def _topic(table: Mapping[str, object] | None, newest: Status | None) -> str:
    if table is not None:
        return str(table.get("topic", "enriched"))
    return newest.topic if newest is not None else "enriched"


def _lag(kafka: KafkaSettings, name: str, topic: str) -> int:
    read = kafka.topics.events if topic == "raw" else kafka.topics.enriched
    return sum(part.lag for part in group_progress(kafka, f"forwarder.{name}", read))


def _newest(moments: Iterable[int | None]) -> int | None:
    return max((moment for moment in moments if moment is not None), default=None)
