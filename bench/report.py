"""Writes what a benchmark measured, with what it was measured on."""

import json
import os
import platform
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

__all__ = ["Measured", "write_report"]

_RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "confluent-kafka",
    "orjson",
    "msgspec",
    "faust-streaming",
    "chdb",
    "clickhouse-connect",
)
Figure = int | float | str


@dataclass(frozen=True, slots=True)
class Measured:
    """What one run found.

    `question` is a sentence for the reader. `figures` are named with their units. `demands` says
    of some figures what is asked, in words ("under 15"). `notes` says how, and what bounds it.
    """

    question: str
    figures: dict[str, Figure]
    demands: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_report(name: str, measured: Measured) -> str:
    """Write results/NAME.json and results/NAME.md; return the latter's text."""
    machine, versions = _machine(), _versions()
    date = datetime.now(UTC).date().isoformat()
    record = {
        "benchmark": name,
        "date": date,
        "question": measured.question,
        "figures": measured.figures,
        "demands": measured.demands,
        "notes": measured.notes,
        "machine": machine,
        "versions": versions,
    }
    rows = [
        f"| `{label}` | {_shown(value)} | {measured.demands.get(label, '')} |"
        for label, value in measured.figures.items()
    ]
    text = "\n".join(
        [
            f"# {name}",
            "",
            measured.question,
            "",
            "| figure | measured | demanded |",
            "|---|---:|---|",
            *rows,
            "",
            *(f"- {note}" for note in measured.notes),
            f"- Machine: {', '.join(f'{key} {value}' for key, value in machine.items())}.",
            f"- Versions: {', '.join(f'{key} {value}' for key, value in versions.items())}.",
            f"- {date}, `python -m bench {name}`.",
            "",
        ]
    )
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (_RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    return text


def _shown(value: Figure) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else value


def _machine() -> dict[str, Figure]:
    """Describe the machine; its name is nobody's business."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": next(models, platform.machine()),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(memory_bytes / 2**30, 1),
        "system": platform.system(),
    }


def _versions() -> dict[str, str]:
    """Name the versions that the figures depend on, of those installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions
