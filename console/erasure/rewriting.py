"""Erase a person from what is stored, and from what may come in again.

The tombstone comes first: from then on the store itself takes the person out of whatever is
inserted (schemas/clickhouse/0004_ingest.sql). So what is stored is inserted again, and comes out as
a replay of it would; then the originals are deleted, those alone that have such a copy. Killed at
any point, the same call goes on: no step does anything twice, and no event is ever missing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client

from auditbus.console.erasure.matching import naming
from auditbus.console.query.events import EventLog, select
from auditbus.sinks.clickhouse.writer import Writer

__all__ = ["Erasure", "erase"]

_BATCH_EVENTS = 2_000
# Rows of which an erasure made copies; a look at the text first, as few have any such word.
_IS_COPY = "position(event, '\"erasure_id\"') > 0 AND JSONHas(event, 'erased', 'erasure_id')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One request to erase.

    Attributes:
        id: UUID of the request; what stands in the events in place of the person.
        user: id of the person, as an actor or a target.
        account: the only account to look in; None for all.
        until: what happened later is not the request's.
        requested_by: who asks.
        reason: why, for the record; no personal data.
    """

    id: str
    user: str
    account: str | None
    until: datetime
    requested_by: str
    reason: str = ""


def erase(client: Client, erasure: Erasure, report: Callable[[int], None] = lambda _: None) -> int:
    """Erase, and return how many events still name the person: 0, unless some came in meanwhile.

    Blocks while the parts of the table that hold such events are written anew. `report` is told how
    many events were rewritten so far. Raises what clickhouse-connect and `Writer.insert` raise.
    """
    _leave_tombstone(client, erasure)
    named = naming(erasure.user, erasure.account, erasure.until)
    writer, rewritten = Writer(client), 0
    for batch in _batches(EventLog(client).originals(named)):
        digest = hashlib.sha256(b"".join(batch)).hexdigest()
        writer.insert(batch, f"erase:{erasure.id}:{digest}")
        rewritten += len(batch)
        report(rewritten)
    condition = _for_mutation(named.sql)
    client.command(
        f"ALTER TABLE audit.events DELETE WHERE ({condition}) AND id IN"  # noqa: S608  # constants
        f" (SELECT id FROM audit.events WHERE {_IS_COPY} AND NOT ({condition}))",
        parameters=dict(named.parameters),
        settings={"mutations_sync": 2},
    )
    ((left,),) = select(client, "count() FROM audit.events", named)
    return int(left)


def _for_mutation(sql: str) -> str:
    """Return `sql` with its parameters as the client binds them: a mutation keeps its text."""
    return re.sub(r"\{(\w+):[^}]+\}", r"%(\1)s", sql)


def _leave_tombstone(client: Client, erasure: Erasure) -> None:
    user_hash = hashlib.sha256(erasure.user.encode()).hexdigest().upper()
    client.insert(
        "audit.erasures",
        [
            [
                erasure.account or "",
                user_hash,
                erasure.id,
                erasure.until,
                erasure.requested_by,
                erasure.reason,
            ]
        ],
        column_names=[
            "account",
            "user_hash",
            "erasure_id",
            "erased_at",
            "requested_by",
            "reason",
        ],
    )
    client.command("SYSTEM RELOAD DICTIONARY audit.erased_users")


def _batches(events: Iterator[bytes]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    for event in events:
        batch.append(event)
        if len(batch) == _BATCH_EVENTS:
            yield batch
            batch = []
    if batch:
        yield batch
