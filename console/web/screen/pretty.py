"""JSON laid out for reading. What it says is not touched: numbers and texts keep their bytes."""

from __future__ import annotations

import re

__all__ = ["indented"]

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_INDENT = "  "


def indented(text: str) -> str:
    """Return valid JSON over several lines; a loader would lose digits and repeated keys."""
    parts: list[str] = []
    depth = 0
    before = ""
    for token in _TOKEN.findall(text):
        closes = token in {"}", "]"}
        depth -= closes
        if before in {"{", "[", ","} or closes:
            empty = closes and before in {"{", "["}
            if before and not empty:
                parts.append("\n" + _INDENT * depth)
        parts.append(": " if token == ":" else token)
        depth += token in {"{", "["}
        before = token
    return "".join(parts)
