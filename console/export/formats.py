"""The formats of an export, by name."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from auditbus.console.export import csv_text
from auditbus.console.export.columns import Column
from auditbus.console.export.parquet import ParquetWriter
from auditbus.console.export.text import csv_writer, ndjson_writer
from auditbus.console.export.writer import Writer

__all__ = ["Format", "new_writer"]


class Format(StrEnum):
    """What a file may hold."""

    CSV = "csv"
    NDJSON = "ndjson"
    PARQUET = "parquet"

    @property
    def media_type(self) -> str:
        """Its name on the web (CSV: RFC 4180, RFC 7111)."""
        return {
            "csv": "text/csv; charset=utf-8; header=present",
            "ndjson": "application/x-ndjson",
            "parquet": "application/vnd.apache.parquet",
        }[self]

    @property
    def max_rows(self) -> int | None:
        """How many rows one file may hold; None: any number."""
        return csv_text.MAX_LINES - 1 if self is Format.CSV else None

    @property
    def is_resumable(self) -> bool:
        """Whether a file can be gone on with: Parquet's footer speaks of all that was written."""
        return self is not Format.PARQUET


def new_writer(kind: Format, columns: Sequence[Column]) -> Writer:
    """Return what writes one file. NDJSON has whole events and heeds no columns."""
    match kind:
        case Format.CSV:
            return csv_writer(columns)
        case Format.NDJSON:
            return ndjson_writer()
        case Format.PARQUET:
            return ParquetWriter(columns)
