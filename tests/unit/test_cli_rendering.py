"""What people see is safe: events are written by others, some of them hostile."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from auditbus.console.cli.event_table import EventTable, fit
from auditbus.console.cli.safe_text import one_line_json, printable, terminal_json
from auditbus.console.query import EventRow

_ROW = EventRow(
    id=UUID("0192f000-0000-7000-8000-000000000001"),
    time=datetime(2026, 11, 22, 10, 0, 0, 123_000, tzinfo=UTC),
    received_at=datetime(2026, 11, 22, 10, 0, 1, tzinfo=UTC),
    action="StorageDeleted",
    category="storage",
    operation="delete",
    description="Deleted storage",
    outcome="failure",
    account="acme",
    account_name="Acme",
    actor_type="user",
    actor_id="u-1",
    actor_name="Ann",
    actor_email="ann@example.org",
    targets="storage Primary s-1",
    ip="81.2.69.142",
    user_agent="curl/8",
    device="curl 8",
    location="London, United Kingdom",
    country_code="GB",
    error_code="E42",
    error_message="quota exceeded",
    event=b'{"location":{"database":"DBIP-City-Lite 2023-04"}}',
)


def _shown(*rows: EventRow, width: int = 300) -> str:
    file = io.StringIO()
    table = EventTable(Console(file=file, width=width, markup=True, force_terminal=False))
    table.print(rows)
    table.finish()
    return file.getvalue()


def test_the_columns_are_those_of_the_screen() -> None:
    header = _shown(_ROW).splitlines()[0]
    assert header.split() == [
        "Time", "Action", "Description", "Account", "User", "IP", "Device", "Location", "Error",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "hostile",
    [
        "\x1b[2J\x1b]0;owned\x07",
        "\x9b31mred",
        "line\nbreak\r\ttab",
        "\u202egnp.exe",
        "\u2028separator\x85",
        "nul\x00 del\x7f",
    ],
)
def test_control_characters_are_spelt_out(hostile: str) -> None:
    row = replace(_ROW, description=hostile, device=hostile, error_message=hostile)
    lines = _shown(row).splitlines()
    assert len(lines) == 3  # header, row, attribution
    assert all(line.isprintable() for line in lines)


def test_markup_and_emoji_codes_are_text() -> None:
    shown = _shown(replace(_ROW, description="[red]x[/red] [link=http://evil]y :smile:"))
    assert "[red]x[/red] [link=http://evil]y :smile:" in shown


@given(st.text(), st.text(), st.integers(40, 200))
def test_no_line_is_wider_than_the_terminal(description: str, error: str, width: int) -> None:
    row = replace(_ROW, description=description, error_message=error)
    lines = _shown(row, width=width).splitlines()
    assert all(cell_len(line) <= max(width, 45) for line in lines)
    assert all(line.isprintable() or "\u200c" in line or "\u200d" in line for line in lines)


def test_columns_leave_where_they_do_not_fit_and_a_note_says_which() -> None:
    shown = _shown(_ROW, width=70)
    assert "Location" not in shown.splitlines()[0]
    assert "too narrow for" in shown
    assert "Error" in shown.splitlines()[0]


def test_small_wishes_are_granted_first() -> None:
    widths = fit({"Time": 19, "Action": 15, "Description": 60, "Error": 8}, 80)
    assert widths["Action"] == 15
    assert sum(widths.values()) + 2 * 3 == 80


def test_db_ip_is_named_only_where_its_locations_are_shown() -> None:
    assert "IP Geolocation by DB-IP" in _shown(_ROW)
    assert "DB-IP" not in _shown(replace(_ROW, location=""))
    other = b'{"location":{"database":"GeoLite2-City 2026-11"},"description":"DBIP"}'
    assert "DB-IP" not in _shown(replace(_ROW, event=other))


@given(st.text())
def test_printable_text_is_left_alone_and_the_rest_is_spelt_out(text: str) -> None:
    shown = printable(text)
    assert all(c.isprintable() or c in "\u200c\u200d" for c in shown)
    if text.isprintable():
        assert shown == text


def test_pretty_printed_originals_become_one_line_and_stay_the_same_json() -> None:
    event = {"id": "1", "text": "a\nb\r", "list": [1, 2]}
    pretty = json.dumps(event, indent=2).replace("\n", "\r\n").encode()
    folded = one_line_json(pretty)
    assert b"\n" not in folded
    assert b"\r" not in folded
    assert orjson.loads(folded) == event
    compact = orjson.dumps(event)
    assert one_line_json(compact) is compact


@given(st.text())
def test_json_on_a_terminal_cannot_steer_it_and_stays_the_same_json(text: str) -> None:
    line = json.dumps({"text": text}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        line.decode()
    except UnicodeDecodeError:
        return  # lone surrogates never pass validation
    escaped = terminal_json(line).decode()
    assert not any("\x7f" <= c <= "\x9f" or c < " " for c in escaped)
    assert json.loads(escaped) == {"text": text}
