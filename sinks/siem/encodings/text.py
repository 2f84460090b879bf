"""Text for formats of one line: cut to a length, without what would end the line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from auditbus.schemas.event import Target

__all__ = ["CONTROLS", "TRUNCATED", "cut", "joined", "party"]

TRUNCATED = "…[truncated]"
"""Ends every text that was cut."""

CONTROLS: Mapping[int, str] = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), "\N{REPLACEMENT CHARACTER}"
)
"""For `str.translate`: control characters and the separators of lines and paragraphs. A receiver
may end a line at any of them, and no format of one line can carry them."""


def cut(text: str, limit: int) -> str:
    """Return `text`, or its beginning and the mark, `limit` characters in all."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


def party(type_name: str | None, uid: str | None, name: str | None) -> str:
    """Return `type:id (name)`, of which each part may be missing."""
    head = ":".join(part for part in (type_name, uid) if part)
    return " ".join(part for part in (head, name and f"({name})") if part)


def joined(targets: Sequence[Target]) -> str:
    """Return every target as a `party`, joined with semicolons."""
    return "; ".join(party(one.type, one.id, one.name) for one in targets)
