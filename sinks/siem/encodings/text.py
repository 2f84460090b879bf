"""Text for formats of one line: cut to a length, without what would end the line."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from itertools import compress
from types import MappingProxyType

from auditbus.schemas.event import Actor, Context, Target

__all__ = [
    "CONTROLS",
    "NOBODY",
    "NOWHERE",
    "TRUNCATED",
    "Line",
    "cut",
    "first_user",
    "joined",
    "party",
]

NOBODY, NOWHERE = Actor(type="system"), Context()
"""Stand in for what an event has not."""

TRUNCATED = "…[truncated]"
"""Ends every text that was cut."""

CONTROLS: Mapping[int, str] = dict.fromkeys(
    (*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), "\N{REPLACEMENT CHARACTER}"
)
"""For `str.translate`: control characters and the separators of lines and paragraphs. A receiver
may end a line at any of them, and no format of one line can carry them."""


_SEPARATOR = "\0"
_CONTROL_MARKS = (0x09, 0x0A, 0x0D, 0x7F)


def cut(text: str, limit: int) -> str:
    """Return `text`, or its beginning and the mark, `limit` characters in all."""
    return text if len(text) <= limit else text[: limit - len(TRUNCATED)] + TRUNCATED


class Line:
    """Writes keys and texts as one line, escaping by a table for `str.translate`.

    `CONTROLS` is part of the table.

    Most events have nothing to escape. Their JSON tells so by itself: without a backslash there is
    no backslash and no ASCII control character in any text of it, and the rest is a byte or two to
    look for. Looking into each text takes some times as long.
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
        self._specials = [
            (chr(code), text) for code, text in table.items() if chr(code).isprintable()
        ]
        # As numbers: to `in`, bytes are an error first.
        self._marks = (
            0x5C,  # backslash
            0x7F,
            0xC2,  # begins U+0080 to U+00BF, of which half are control characters
            0xE2,  # begins U+2000 to U+2FFF, of which two separate lines and paragraphs
            *(ord(special) for special, _ in self._specials if special != "\\"),
        )
        self._max_chars = max_chars
        self._limits = limits

    def write(self, keys: Sequence[str], texts: Sequence[object], source: bytes) -> str:
        """Return the texts that there are, each behind its key, as they are to be sent.

        `keys` is what stands before each of `texts`; of a false one neither is written. `source` is
        the event as JSON, from which all that is no constant comes.
        """
        found: list[str] = list(filter(None, texts))  # type: ignore[arg-type]  # what is true is text
        flat = found + found
        flat[::2], flat[1::2] = compress(keys, texts), found
        line = "".join(flat)
        if self._is_long(line, flat):
            keys, texts = flat[::2], flat[1::2]
            limits = [self._limits.get(key, self._max_chars) for key in keys]
            flat[1::2] = map(cut, texts, limits)
            line = "".join(flat)
        if not flat or self._is_plain(source):
            return line
        flat[1::2] = self._escaped(flat[1::2], source)
        return "".join(flat)

    def _is_long(self, line: str, flat: list[str]) -> bool:
        """Tell whether a text may be too long; the last, mostly the longest, is looked at apart."""
        if len(line) <= self._max_chars:
            return False
        key, text = flat[-2:]
        limit = self._limits.get(key, self._max_chars)
        return len(text) > limit or len(line) - len(text) > self._max_chars

    def _is_plain(self, source: bytes) -> bool:
        """Tell whether nothing in an event needs an escape; may say no where nothing does."""
        for mark in self._marks:  # noqa: SIM110  # half as long as any() of a generator
            if mark in source:
                return False
        return True

    def _escaped(self, texts: list[str], source: bytes) -> list[str]:
        """Escape each text; all at once where there is no control character."""
        joined = _SEPARATOR.join(texts)
        if not _is_clean(joined, source):
            return [text.translate(self._table) for text in texts]
        for special, escaped in self._specials:
            if special in joined:
                joined = joined.replace(special, escaped)
        return joined.split(_SEPARATOR)


def _is_clean(joined: str, source: bytes) -> bool:
    """Tell whether no text has a control character; may say no where none has."""
    # In JSON it is an escape other than \\", white space between tokens, DEL, or not of ASCII.
    if source.count(b"\\") != source.count(b'\\"'):
        return False
    for mark in _CONTROL_MARKS:  # half as long as any() of a generator
        if mark in source:
            return False
    return joined.isascii() or joined.replace(_SEPARATOR, "").isprintable()


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
