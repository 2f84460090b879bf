"""A table that is a history: the newest row of a key counts, and is remembered for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import fields
from enum import Enum
from threading import Lock
from typing import Any, Generic, TypeVar

from clickhouse_connect.driver.client import Client

from auditbus.console.access.principal import Role
from auditbus.console.access.records import Record

__all__ = ["REMEMBERED_S", "History"]

REMEMBERED_S = 3.0
"""Seconds after which every console process sees what another one changed."""

_MAX_REMEMBERED = 10_000
_Row = TypeVar("_Row", bound=Record)


class History(Generic[_Row]):
    """The rows of one table by one of its columns. Safe for many threads.

    `final` says that what is gone never comes back, whatever a clock says. Every method raises what
    the client raises.
    """

    def __init__(
        self,
        client: Client,
        table: str,
        row: type[_Row],
        key: str,
        *,
        final: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`table` and `key` are constants of this package, never values."""
        self._client = client
        self._table = table
        self._row = row
        self._key = key
        self._columns = tuple(item.name for item in fields(row))
        self._newest = "gone DESC, changed_at DESC" if final else "changed_at DESC"
        self._clock = clock
        self._remembered: OrderedDict[str, tuple[float, _Row | None]] = OrderedDict()
        self._changes = 0
        self._lock = Lock()

    def get(self, key: str) -> _Row | None:
        """Return the newest row of `key`, at most `REMEMBERED_S` old; None where it is gone."""
        now = self._clock()
        with self._lock:
            found, changes = self._remembered.get(key), self._changes
        if found is not None and now - found[0] < REMEMBERED_S:
            return found[1]
        rows = self._select(f"WHERE {self._key} = {{key:String}}", {"key": key})
        row = rows[0] if rows else None
        with self._lock:
            if changes == self._changes:  # else the row may be older than what was put meanwhile
                self._remember(key, row, now)
        return row

    def all(self) -> list[_Row]:
        """Return the newest row of every key that is not gone, in the order of the keys."""
        return self._select("", {})

    def put(self, row: _Row) -> None:
        """Add a row. This process sees it at once."""
        written = [name for name in self._columns if name != "changed_at"]
        self._client.insert(
            self._table, [[_stored(getattr(row, name)) for name in written]], column_names=written
        )
        with self._lock:
            self._changes += 1
            self._remembered.pop(getattr(row, self._key), None)

    def _select(self, where: str, parameters: dict[str, object]) -> list[_Row]:
        found = self._client.query(
            f"SELECT {', '.join(self._columns)} FROM ("  # noqa: S608 -- constants of this package
            f"SELECT * FROM {self._table} {where} ORDER BY {self._newest} LIMIT 1 BY {self._key}"
            f") WHERE NOT gone ORDER BY {self._key}",
            parameters=parameters,
            tz_mode="aware",
        )
        return [self._made(values) for values in found.result_rows]

    def _made(self, values: Sequence[Any]) -> _Row:
        read = dict(zip(self._columns, map(_read, values), strict=True))
        if "role" in read:
            read["role"] = Role(read["role"])
        return self._row(**read)

    def _remember(self, key: str, row: _Row | None, now: float) -> None:
        self._remembered[key] = (now, row)
        self._remembered.move_to_end(key)
        while len(self._remembered) > _MAX_REMEMBERED:
            self._remembered.popitem(last=False)


def _stored(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    return list(value) if isinstance(value, tuple) else value


def _read(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
