"""Text for formats of one line: cut to a length, without what would end the line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from auditbus.schemas.event import Target

__all__ = ["CONTROLS", "TRUNCATED", "Pair", "Plain", "cut", "joined", "party"]

Pair = tuple[str, str | None]
"""A key and its text; without text, the key is left out."""

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


class Plain:
    """Tells what can stand as it is: no control character, nothing special, not too long."""

    def __init__(self, specials: str = "", max_chars: int = sys.maxsize) -> None:
        """`specials` are ASCII characters that the format escapes."""
        self._specials = specials
        self._max_chars = max_chars
        self._refused = bytes((*range(0x20), 0x7F, *specials.encode()))

    def __call__(self, text: str) -> bool:
        """Judge one text. May say no to what could stand; then each character is looked at."""
        return len(text) <= self._max_chars and self._is_clean(text)

    def all(self, texts: Sequence[str]) -> bool:
        """Judge each of `texts`, with one look at all of them together."""
        return not texts or (
            max(map(len, texts)) <= self._max_chars and self._is_clean("".join(texts))
        )

    def _is_clean(self, text: str) -> bool:
        if text.isascii():  # the quickest search for any of a set
            return len(text.encode().translate(None, self._refused)) == len(text)
        return text.isprintable() and not any(special in text for special in self._specials)


def party(type_name: str | None, uid: str | None, name: str | None) -> str:
    """Return `type:id (name)`, of which each part may be missing."""
    head = f"{type_name}:{uid}" if type_name and uid else type_name or uid or ""
    if not name:
        return head
    return f"{head} ({name})" if head else f"({name})"


def joined(targets: Sequence[Target]) -> str:
    """Return every target as a `party`, joined with semicolons."""
    return "; ".join([party(one.type, one.id, one.name) for one in targets])
