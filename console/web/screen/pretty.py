"""JSON laid out for reading. What it says is not touched: numbers and texts keep their bytes."""

from __future__ import annotations

import re

__all__ = ["indented"]

_PART = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)
_INDENT = "  "


def indented(text: str) -> str:
    """Return valid JSON over several lines; a loader would lose digits and repeated keys."""
    parts: list[str] = []
    depth = 0
    before = ""
    for part in _PART.findall(text):
        closes = part in {"}", "]"}
        depth -= closes
        if before in {"{", "[", ","} or closes:
            empty = closes and before in {"{", "["}
            if before and not empty:
                parts.append("\n" + _INDENT * depth)
        parts.append(": " if part == ":" else part)
        depth += part in {"{", "["}
        before = part
    return "".join(parts)
