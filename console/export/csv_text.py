"""CSV (RFC 4180, UTF-8) that a spreadsheet opens and runs nothing of.

The engine writes the records. A cell that a spreadsheet would take for a formula gets an
apostrophe in front (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from auditbus.console.export.columns import Column

__all__ = ["BOM", "ENGINE_FORMAT", "ENGINE_SETTINGS", "MAX_LINES", "RecordCounter", "header", "sql"]

MAX_LINES = 1_048_576
"""The most rows of an Excel sheet, the header among them."""
BOM = b"\xef\xbb\xbf"
"""Without it Excel takes UTF-8 for the code page of the country."""
ENGINE_FORMAT = "CSV"
ENGINE_SETTINGS = {"output_format_csv_crlf_end_of_line": 1}

# What spreadsheets skip before a formula: blanks, controls and zero-width characters; then what
# begins one, in full width too.
_FORMULA = (
    r"^[\\s\\x00-\\x20\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200f}\\x{2028}-\\x{202f}\\x{205f}-\\x{206f}"
    r"\\x{3000}\\x{feff}]*[=+\\-@\\x{ff1d}\\x{ff0b}\\x{ff0d}\\x{ff20}]"
)


def header(columns: Sequence[Column]) -> bytes:
    """Return the first record."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([column.heading for column in columns])
    return text.getvalue().encode()


def sql(column: Column) -> str:
    """Return the expression of a cell."""
    text = column.csv_sql or column.sql
    if not column.is_text:
        return text
    return f"if(match({text}, '{_FORMULA}'), concat('\\'', {text}), {text})"


class RecordCounter:
    """Counts the records of a CSV stream that ends each with CRLF, however it is cut.

    A line break within quotes ends none: within them, the quotes before it are odd in number.
    """

    def __init__(self) -> None:
        """Nothing yet."""
        self._quoted = False
        self._held = b""

    def count(self, chunk: bytes) -> int:
        """Return how many records end in `chunk`."""
        lines = (self._held + chunk).split(b"\r\n")
        self._held = b"\r" if lines[-1].endswith(b"\r") else b""
        lines[-1] = lines[-1].removesuffix(b"\r")
        ended, quoted = 0, self._quoted
        for line in lines[:-1]:
            quoted ^= bool(line.count(b'"') & 1)
            ended += not quoted
        self._quoted = quoted ^ bool(lines[-1].count(b'"') & 1)
        return ended
