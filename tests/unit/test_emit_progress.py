"""A long import shows how far it is: on a terminal, and nowhere else."""

from __future__ import annotations

import io

from rich.console import Console

from auditbus.console.cli.emit_progress import EmitProgress


def _shown(total_bytes: int | None, *, terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, color_system=None)
    with EmitProgress(total_bytes, console) as progress:
        progress.update(1_000_000, 700)
        progress.end_file(2_000_000, 1_400)
        progress.update(500_000, 1_750)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bytes_of_the_total_over_all_files_and_records_are_shown() -> None:
    shown = _shown(4_000_000, terminal=True)
    assert "1,750 records, " in shown
    assert "/s" in shown
    assert "2.5/4.0 MB" in shown


def test_a_pipe_has_no_total() -> None:
    assert "2.5/? MB" in _shown(None, terminal=True)


def test_nothing_is_shown_where_nobody_looks() -> None:
    assert _shown(4_000_000, terminal=False) == ""
