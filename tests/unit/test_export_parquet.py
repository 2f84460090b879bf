"""Row groups of several Parquet files under one footer, read by another reader than the writer."""

import io
from collections.abc import Iterator
from contextlib import closing
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditbus.console.export import chosen_columns, parquet
from auditbus.console.export.errors import ExportBroken
from auditbus.console.export.parquet import ParquetWriter
from auditbus.console.export.parquet_footer import Footer
from auditbus.console.export.thrift_compact import decode_struct, encode_struct
from auditbus.console.query.predicate import Predicate

_ANY: Any = None


def _table(rows: int, seed: int) -> pa.Table:
    random = Random(seed)
    return pa.table(
        {
            "id": [f"{seed}-{number}" for number in range(rows)],
            "account": [random.choice(["acme", "globex"]) for _ in range(rows)],
            "event": [random.randbytes(300).hex() for _ in range(rows)],
        },
        schema=pa.schema([(name, pa.string()) for name in ("id", "account", "event")]),
    )


def _file(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=70, write_page_index=True, **options)
    return out.getvalue()


def _joined(monkeypatch: pytest.MonkeyPatch, *files: bytes) -> tuple[bytes, int]:
    streams = iter(files)
    monkeypatch.setattr(parquet, "read_rows", lambda *_: closing(io.BytesIO(next(streams))))
    writer, rows = ParquetWriter(chosen_columns(["id"])), 0
    content = [writer.begin()]
    for _ in files:
        for chunk in writer.rows(_ANY, Predicate(""), writer.order, 1):
            content.append(chunk.content)
            rows += chunk.rows
    return b"".join([*content, writer.end(_ANY)]), rows


@pytest.fixture(params=[1_000, 100_000_000], ids=["small pieces", "one piece"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_READ_BYTES", request.param)
    monkeypatch.setattr(parquet, "_MOST_FOOTER_BYTES", 50_000)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("options", [{}, {"compression": "zstd"}, {"use_dictionary": False}])
def test_several_files_are_read_as_one(
    monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    tables = [_table(rows, seed) for seed, rows in enumerate((400, 0, 1, 2_000))]
    joined, rows = _joined(monkeypatch, *(_file(table, **options) for table in tables))
    assert rows == 2_401
    read = pq.ParquetFile(io.BytesIO(joined))
    assert read.read().equals(pa.concat_tables(tables))
    assert read.metadata.num_rows == 2_401
    # Each group is found by its own offset, not only one after another.
    last = read.read_row_group(read.num_row_groups - 1, columns=["event"])
    assert last["event"].to_pylist() == tables[-1]["event"].to_pylist()[-len(last) :]
    filtered = pq.read_table(io.BytesIO(joined), filters=[("id", "=", "3-1999")])
    assert filtered.num_rows == 1


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("kept", [0, 3, 4, 11, 5_000, -1])
def test_a_file_that_breaks_off_is_no_export(monkeypatch: pytest.MonkeyPatch, kept: int) -> None:
    whole = _file(_table(400, 1))
    with pytest.raises(ExportBroken):
        _joined(monkeypatch, whole[:kept])


def test_a_footer_too_long_to_be_held_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_READ_BYTES", 100)
    monkeypatch.setattr(parquet, "_MOST_FOOTER_BYTES", 500)
    with pytest.raises(ExportBroken, match="footer is too long"):
        _joined(monkeypatch, _file(_table(400, 1)))


def _footers() -> Iterator[bytes]:
    for rows in (0, 1, 2_000):
        content = _file(_table(rows, rows))
        size = int.from_bytes(content[-8:-4], "little")
        yield content[-8 - size : -8]


@pytest.mark.parametrize("footer", list(_footers()))
def test_what_is_read_is_written_as_it_was(footer: bytes) -> None:
    assert encode_struct(decode_struct(footer)) == footer


def test_what_is_no_footer_is_refused() -> None:
    for wrong in (b"", b"\x00", b"\x15", b"\x1b\x02", b"\xff" * 40, b"\x19\x4c\x48\x05ab"):
        with pytest.raises(ValueError, match=r"footer|breaks off|type"):
            Footer().add(wrong, 0)
