"""One insert: a batch's values, as they are, into audit.ingest.

Values travel as RowBinary: each one's length, then its bytes. So one record is one row whatever
its bytes are. Formats that look for JSON's own limits were tried and dropped: with JSONAsString a
truncated value swallows its neighbour, `{} {}` becomes two rows, and the server spends 3 µs a row
on finding the braces that Kafka had already told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from urllib3.exceptions import HTTPError

from auditbus.sinks.clickhouse.error_codes import (
    Verdict,
    classify,
    code_name,
    describe,
    reason_of,
)

__all__ = ["InsertFailed", "Writer", "row_binary"]

_SETTINGS = {
    # The answer must mean stored, and a token must be honoured: not so for asynchronous inserts.
    "async_insert": 0,
    # The token guards audit.events behind the view, not only audit.ingest, which stores nothing.
    "deduplicate_blocks_in_dependent_materialized_views": 1,
    # A backfill over 100 months is one insert; by default ClickHouse would refuse it for ever.
    "max_partitions_per_insert_block": 0,
    # What merges do anyway is left to them: indexes, and the removal of repeats, which FINAL hides.
    "materialize_skip_indexes_on_insert": 0,
    "optimize_on_insert": 0,
    # One thread costs less CPU a row; more sinks are how inserts are spread.
    "max_threads": 1,
    "max_insert_threads": 1,
}
# The server counts a row for audit.ingest and one for the view's target, repeats as well. Without
# the view, audit.ingest would swallow every row and say nothing.
_COUNTED_PER_ROW = 2
_ONE_BYTE = 0x80


class InsertFailed(Exception):
    """ClickHouse did not store the rows, or did not say that it did.

    `code` is the server's or None, `name` a bounded label, `text` for logs, `reason` for a dead
    letter; none quotes a row.
    """

    def __init__(
        self,
        verdict: Verdict,
        code: int | None,
        text: str,
        *,
        name: str | None = None,
        reason: str = "",
    ) -> None:
        """Keep the parts."""
        super().__init__(text)
        self.verdict = verdict
        self.code = code
        self.name = name or code_name(code)
        self.text = text
        self.reason = reason or text


class Writer:
    """Inserts values through one client; used by one thread at a time."""

    def __init__(self, client: Client) -> None:
        """Write through `client`."""
        self._client = client

    def insert(self, values: Sequence[bytes], token: str) -> None:
        """Insert one row a value; blocks until ClickHouse has stored them all.

        The same `token` with the same values stores nothing twice. Raises InsertFailed: then none,
        some or all may be stored.
        """
        try:
            summary = self._client.raw_insert(
                "audit.ingest",
                column_names=["line"],
                insert_block=row_binary(values),
                fmt="RowBinary",
                settings={**_SETTINGS, "insert_deduplication_token": token},
            )
        except Error as error:
            verdict = classify(error.code)
            raise InsertFailed(
                verdict, error.code, describe(error), reason=reason_of(error)
            ) from error
        except (ClickHouseError, HTTPError, OSError) as error:
            raise InsertFailed(Verdict.RETRY, None, type(error).__name__) from error
        if summary.written_rows < _COUNTED_PER_ROW * len(values):
            text = (
                f"{len(values)} rows sent, {summary.written_rows} written to audit.ingest and "
                "behind it: is audit.ingest_to_events there?"
            )
            raise InsertFailed(Verdict.RETRY, None, text, name="rows_missing")


def row_binary(values: Sequence[bytes]) -> bytes:
    """Encode one String column: each value after its length in unsigned LEB128."""
    parts = [b""] * (2 * len(values))
    parts[0::2] = [_leb128(len(value)) for value in values]
    parts[1::2] = values
    return b"".join(parts)


@lru_cache(maxsize=8192)
def _leb128(number: int) -> bytes:
    encoded = bytearray()
    while number >= _ONE_BYTE:
        encoded.append(number & 0x7F | _ONE_BYTE)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
