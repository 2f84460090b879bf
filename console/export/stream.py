"""An export, from what is wanted to the bytes of a file, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from clickhouse_connect.driver.client import Client

from auditbus.console.export.errors import ExportBroken
from auditbus.console.export.plan import Plan, Slice, plan_export
from auditbus.console.export.reading import NEWEST_FIRST
from auditbus.console.export.writer import Chunk, Writer
from auditbus.console.query.events import select
from auditbus.console.query.predicate import Predicate

__all__ = ["ExportStream"]


@dataclass(slots=True)
class ExportStream:
    """One export under way. Build it with `planned`, then iterate over `chunks` once.

    Attributes:
        matched: how many events match.
        limit: how many rows the file may hold.
        rows: how many it holds so far.
    """

    client: Client
    writer: Writer
    wanted: Predicate
    plan: Plan
    limit: int
    rows: int = field(default=0, init=False)

    @classmethod
    def planned(
        cls, client: Client, writer: Writer, wanted: Predicate, limit: int | None
    ) -> ExportStream:
        """Look at what matches. `limit` None: all. Raises what the client raises."""
        plan = plan_export(client, wanted)
        return cls(client, writer, wanted, plan, plan.rows if limit is None else limit)

    @property
    def matched(self) -> int:
        """How many events match."""
        return self.plan.rows

    @property
    def is_truncated(self) -> bool:
        """Whether more match than the file may hold."""
        return self.matched > self.limit

    def chunks(self) -> Iterator[bytes]:
        """Yield the file. Raises what the client raises, and ExportBroken for an answer cut short.

        Only after the last one is the file whole.
        """
        yield self.writer.begin()
        for part in self.plan.slices:
            if self.rows >= self.limit:
                break
            yield from self.slice_chunks(part)
        yield self.writer.end(self.client)

    def slice_chunks(self, part: Slice) -> Iterator[bytes]:
        """Yield what one slice of the plan adds to the file; slices come in the plan's order.

        Raises what `chunks` raises.
        """
        for chunk in self._read(part):
            self.rows += chunk.rows
            yield chunk.content

    def _read(self, part: Slice) -> Iterator[Chunk]:
        wanted = self.wanted & self.plan.predicate & part.predicate
        most = min(part.rows, self.limit - self.rows)
        order = self.writer.order if most == part.rows else NEWEST_FIRST
        read = 0
        for chunk in self.writer.rows(self.client, wanted, order, most):
            read += chunk.rows
            yield chunk
        # A server that fails in mid-answer can only stop: an honest file tells that from its end.
        if read < most and read < self._count(wanted, most):
            raise ExportBroken(
                f"the store's answer broke off after {self.rows:,} rows; export again"
            )

    def _count(self, wanted: Predicate, most: int) -> int:
        (counted,) = select(self.client, "count() FROM audit.log", wanted)
        return min(int(counted[0]), most)
