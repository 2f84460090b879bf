"""Counting the records of a CSV stream, and choosing its columns."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditbus.console.export import ALL_COLUMNS, chosen_columns
from auditbus.console.export.csv_text import RecordCounter

_CELLS = st.text(st.sampled_from('a,"\r\n'), max_size=12)


@given(st.lists(st.lists(_CELLS, min_size=1, max_size=3), max_size=8), st.integers(1, 7))
def test_records_are_counted_however_the_stream_is_cut(
    records: list[list[str]], piece_bytes: int
) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows(records)
    content = file.getvalue().encode()
    counter = RecordCounter()
    pieces = [content[start : start + piece_bytes] for start in range(0, len(content), piece_bytes)]
    assert sum(map(counter.count, pieces)) == len(records)


def test_the_nine_columns_of_the_screen_come_first_and_the_rest_by_choice() -> None:
    headings = [column.heading for column in chosen_columns(["id", "targets", "time"])]
    assert headings == [
        "Time", "Action", "Description", "Account", "User", "IP", "Device", "Location", "Error",
        "ID", "Targets",
    ]  # fmt: skip
    assert chosen_columns(None) == ALL_COLUMNS
    with pytest.raises(ValueError, match="no column nope: there are time, action"):
        chosen_columns(["nope"])
