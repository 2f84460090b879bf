"""The project's own pages, taken apart: fenced blocks, tables, command lines."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / f"{name}.md" for name in ("README", "ARCHITECTURE", "CONTRIBUTING", "SECURITY")),
    ]
)
_FENCE = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNMENT = re.compile(r"[A-Z_]+=.*")


@dataclass(frozen=True)
class Block:
    """One fenced block; `name` says where it stands."""

    kind: str
    text: str
    name: str


def blocks(kind: str) -> list[Block]:
    """Return every block of a kind, in all pages."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in _FENCE.finditer(text):
            if match["kind"] == kind:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(kind, match["text"], f"{page.name}:{line}"))
    return found


def shell_commands() -> Iterator[tuple[str, list[str]]]:
    """Yield where it stands and the words of each command line, without what follows a pipe.

    Those are the lines of sh blocks, what follows `$ ` in text blocks, and `auditbus ...` in code
    spans and table cells.
    """
    for block in blocks("sh"):
        for line in block.text.splitlines():
            yield from _commands(block.name, line)
    for block in blocks("text"):
        for line in block.text.splitlines():
            if line.startswith("$ "):
                yield from _commands(block.name, line.removeprefix("$ "))
    for page in PAGES:
        prose = _FENCE.sub("", page.read_text(encoding="utf-8"))
        for span in re.findall(r"`(auditbus [a-z][^`|]*)`", prose):
            yield page.name, shlex.split(span)


def _commands(name: str, line: str) -> Iterator[tuple[str, list[str]]]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;>")
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, "|"]:
        if set(word) <= set("|;>"):
            if words:
                yield name, words
            words = []
        elif words or not _ASSIGNMENT.fullmatch(word):
            words.append(word)


def table_names(page: str, heading: str) -> list[str]:
    """Return the names in code in the first column of the table whose header begins so."""
    text = (ROOT / page).read_text(encoding="utf-8")
    start = text.index(f"| {heading} ")
    rows = text[start:].split("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
