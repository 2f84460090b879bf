"""Text for formats of one line: cut to a length, without what would end the line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from types import MappingProxyType

from auditbus.schemas.event import Actor, Context, Target

__all__ = [
    "CONTROLS",
    "NOBODY",
    "NOWHERE",
    "TRUNCATED",
    "Line",
    "Pair",
    "cut",
    "first_user",
    "joined",
    "party",
]

Pair = tuple[str, object]
"""What stands before a text, and the text, or what is false: then neither is written."""

NOBODY, NOWHERE = Actor(type="system"), Context()
"""Stand in for what an event has not."""

TRUNCATED = "…[truncated]"
"""Ends every text that was cut."""

CONTROLS: Mapping[int, str] = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), "\N{REPLACEMENT CHARACTER}"
)
"""For `str.translate`: control characters and the separators of lines and paragraphs. A receiver
may end a line at any of them, and no format of one line can carry them."""


_text_of = itemgetter(1)
_SEPARATOR = "\0"
_ASCII_CONTROLS = bytes((*range(1, 0x20), 0x7F))


def cut(text: str, limit: int) -> str:
    """Return `text`, or its beginning and the mark, `limit` characters in all."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


class Line:
    """Writes pairs as one line, texts escaped by a table for `str.translate` with `CONTROLS` in it.

    Most events have no control character. Then one look at all texts tells so, and what is to be
    escaped beside them is replaced in all at once: some times as quick as text by text.
    """

    def __init__(
        self,
        table: Mapping[int, str],
        *,
        max_chars: int = sys.maxsize,
        limits: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        """Of what is no control character, `table` must have the backslash first.

        A text has at most `max_chars`, or what `limits` says for what stands before it, if that is
        more.
        """
        self._table = table
        self._printable = [
            (chr(code), text) for code, text in table.items() if chr(code).isprintable()
        ]
        self._max_chars = max_chars
        self._limits = limits

    def write(self, pairs: Iterable[Pair]) -> str:
        """Return the pairs that have a text, as they are to be sent."""
        flat: list[str] = list(chain.from_iterable(filter(_text_of, pairs)))  # type: ignore[arg-type]  # no pair of None is left
        texts = flat[1::2]
        joined = _SEPARATOR.join(texts)
        if len(joined) > self._max_chars and max(map(len, texts)) > self._max_chars:
            limits = [self._limits.get(key, self._max_chars) for key in flat[::2]]
            texts = list(map(cut, texts, limits))
            joined = _SEPARATOR.join(texts)
        if texts:
            flat[1::2] = self._escaped(texts, joined)
        return "".join(flat)

    def _escaped(self, texts: list[str], joined: str) -> list[str]:
        if not _is_clean(joined, len(texts) - 1):
            return [text.translate(self._table) for text in texts]
        changed = joined
        for special, escaped in self._printable:
            if special in changed:
                changed = changed.replace(special, escaped)
        return texts if changed is joined else changed.split(_SEPARATOR)


def _is_clean(joined: str, separators: int) -> bool:
    """Tell whether there is no control character but the separators; may say no where it could."""
    utf8 = joined.encode()
    # The quickest search for any of a set.
    if len(utf8.translate(None, _ASCII_CONTROLS)) != len(utf8):
        return False
    if joined.count(_SEPARATOR) != separators:
        return False
    # U+0080 to U+00BF begin with C2; the separators of lines and paragraphs with E2 80.
    return joined.isascii() or (b"\xc2" not in utf8 and b"\xe2\x80" not in utf8)


def party(type_name: str | None, uid: str | None, name: str | None) -> str:
    """Return `type:id (name)`, of which each part may be missing."""
    head = f"{type_name}:{uid}" if type_name and uid else type_name or uid or ""
    if not name:
        return head
    return f"{head} ({name})" if head else f"({name})"


def joined(targets: Sequence[Target]) -> str:
    """Return every target as a `party`, joined with semicolons."""
    return "; ".join([party(one.type, one.id, one.name) for one in targets])


def first_user(targets: Sequence[Target]) -> Target | None:
    """Return the first user among the targets."""
    for target in targets:
        if target.type == "user":
            return target
    return None
