"""A benchmark's result says what it was measured on, and not on whose machine."""

import json
import platform
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import benchmarks
from bench.report import Measured, write_report


def test_a_report_holds_figures_demands_machine_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_RESULTS", tmp_path)
    monkeypatch.setattr(platform, "node", lambda: pytest.fail("the machine's name was asked for"))
    measured = Measured(
        "How fast?", {"rows_per_s": 61_234.5, "batch_us": 1.5}, {"rows_per_s": "at least 60,000"}
    )
    text = write_report("rows", measured)
    assert "| `rows_per_s` | 61,234 | at least 60,000 |" in text
    assert "| `batch_us` | 1.50 |  |" in text
    assert (tmp_path / "rows.md").read_text() == text
    record = json.loads((tmp_path / "rows.json").read_text())
    assert record["figures"] == measured.figures
    assert record["versions"]["python"] == platform.python_version()
    assert record["machine"]["cores"] >= 1


@pytest.mark.parametrize("name", sorted(benchmarks()))
def test_every_benchmark_has_a_checked_in_result(name: str) -> None:
    results = Path(report.__file__).parent / "results"
    record = json.loads((results / f"{name}.json").read_text())
    assert {"date", "machine", "versions", "figures"} <= record.keys()
    assert (results / f"{name}.md").exists()
