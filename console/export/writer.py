"""What writes a file of one format, slice by slice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from clickhouse_connect.driver.client import Client

from auditbus.console.export.reading import Order
from auditbus.console.query.predicate import Predicate

__all__ = ["Chunk", "Writer"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes of the file, and how many rows end in them."""

    content: bytes
    rows: int


class Writer(Protocol):
    """Writes one file: `begin`, `rows` of each slice, newest first, `end`."""

    @property
    def order(self) -> Order:
        """The order of the rows in a slice, where all of them are wanted."""

    def begin(self) -> bytes:
        """Return what the file begins with."""

    def rows(self, client: Client, wanted: Predicate, order: Order, limit: int) -> Iterator[Chunk]:
        """Yield the first `limit` rows of `wanted`. Raises what the client raises."""

    def end(self, client: Client, /) -> bytes:
        """Return what the file ends with. Raises what the client raises."""
