"""A rejected batch is halved until the bad rows stand alone; their neighbours are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from confluent_kafka import Message

from auditbus.sinks.clickhouse.error_codes import Verdict
from auditbus.sinks.clickhouse.writer import InsertFailed

__all__ = ["Rejected", "store_or_reject"]


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that ClickHouse refuses by itself."""

    record: Message
    code: str
    reason: str


def store_or_reject(
    records: Sequence[Message], insert: Callable[[Sequence[Message]], None]
) -> list[Rejected]:
    """Insert `records`, in halves where one is refused, and return the refused ones in order.

    n bad rows among N cost about n * log2(N) inserts more. Halves are cut the same way every time,
    so their tokens are too. InsertFailed that is no row's fault is passed on.
    """
    rejected: list[Rejected] = []
    pending = [records]
    while pending:
        run = pending.pop()
        if not run:
            continue
        try:
            insert(run)
        except InsertFailed as failure:
            if failure.verdict is not Verdict.POISON:
                raise
            if len(run) == 1:
                rejected.append(Rejected(run[0], failure.name, failure.reason))
            else:
                middle = len(run) // 2
                pending += [run[middle:], run[:middle]]
    return rejected
