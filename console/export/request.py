"""One export as a person asked for it, from the plan to the manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.client import Client

from auditbus.console.export.columns import Column
from auditbus.console.export.compression import Compression, compressed
from auditbus.console.export.formats import Format, new_writer
from auditbus.console.export.manifest import Manifest, new_export_id
from auditbus.console.export.stream import ExportStream
from auditbus.console.query.predicate import EventFilter, Predicate

__all__ = ["ExportRequest", "RunningExport", "described", "rfc3339"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What to export.

    Attributes:
        format: what the file holds.
        columns: of CSV and Parquet.
        compression: of the file; Parquet compresses itself.
        filter: what was asked for, told in the manifest.
        predicate: that, and what may be seen.
        limit: most rows; None for what the format allows.
        exported_by: who asks.
        received: of what was received in which time, from and before; told in the manifest.
    """

    format: Format
    columns: tuple[Column, ...]
    compression: Compression
    filter: EventFilter
    predicate: Predicate
    limit: int | None
    exported_by: str
    received: tuple[datetime, datetime] | None = None

    def begin(self, client: Client) -> RunningExport:
        """Look at what matches. Raises what the client raises."""
        writer = new_writer(self.format, self.columns)
        return RunningExport(
            self, ExportStream.planned(client, writer, self.predicate, self.most_rows)
        )

    @property
    def most_rows(self) -> int | None:
        """How many rows the file may hold; None for any number."""
        limits = [most for most in (self.limit, self.format.max_rows) if most is not None]
        return min(limits, default=None)

    def manifest(
        self, stream: ExportStream, *, file: str, export_id: str, size_bytes: int, sha256: str
    ) -> Manifest:
        """Describe what `stream` yielded, as it lies in `file`."""
        whole_events = self.format is Format.NDJSON
        return Manifest(
            file=file,
            format=self.format,
            compression=self.compression,
            filters=self._filters(),
            columns=() if whole_events else tuple(column.name for column in self.columns),
            rows=stream.rows,
            matched=stream.matched,
            truncated=stream.is_truncated,
            since=rfc3339(self.filter.since),
            until=rfc3339(self.filter.until),
            received_until=rfc3339(stream.plan.newest_receipt),
            size_bytes=size_bytes,
            sha256=sha256,
            exported_by=self.exported_by,
            exported_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            export_id=export_id,
        )

    def _filters(self) -> Mapping[str, Any]:
        told = described(self.filter)
        if self.received is None:
            return told
        first, end = self.received
        return {**told, "received": {"since": rfc3339(first), "until": rfc3339(end)}}


@dataclass(slots=True)
class RunningExport:
    """An export under way: iterate over `pieces` once, then ask for the manifest.

    `on_rows` is told how many rows there are so far.
    """

    request: ExportRequest
    stream: ExportStream
    on_rows: Callable[[int], None] | None = None
    id: str = field(default_factory=new_export_id)
    _digest: Any = field(default_factory=hashlib.sha256)
    _bytes: int = 0

    def pieces(self) -> Iterator[bytes]:
        """Yield the file. Raises what `ExportStream.chunks` raises."""
        for piece in compressed(self.stream.chunks(), self.request.compression):
            self._digest.update(piece)
            self._bytes += len(piece)
            if self.on_rows is not None:
                self.on_rows(self.stream.rows)
            yield piece

    def manifest(self, file: str) -> Manifest:
        """Describe what was yielded; `file` is the name it got."""
        return self.request.manifest(
            self.stream,
            file=file,
            export_id=self.id,
            size_bytes=self._bytes,
            sha256=self._digest.hexdigest(),
        )


def described(wanted: EventFilter) -> Mapping[str, Any]:
    """Return the filters that were given, by the names of the command line, but for the time."""
    addresses = [f"{item.first}-{item.last}" for item in wanted.addresses]
    told = {
        "account": wanted.accounts,
        "user": wanted.users,
        "action": wanted.actions,
        "category": wanted.categories,
        "outcome": wanted.outcomes,
        "ip": addresses,
        "country": wanted.countries,
        "device": wanted.devices,
        "error": wanted.errors,
        "target": wanted.targets,
        "text": wanted.text,
        "id": [str(id_) for id_ in wanted.ids],
    }
    return {name: value for name, value in told.items() if value}


def rfc3339(moment: datetime | None) -> str | None:
    """Return it in UTC, to the millisecond."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
