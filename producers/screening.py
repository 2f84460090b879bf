"""Know from a text, in some two microseconds, that it holds no secret's form.

A regular expression of all patterns takes twenty times as long. What is looked for here are single
characters and literals that the patterns of `secret_patterns` can't do without; the regexes begin
with a literal, which `re` finds at the speed of memchr.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["Screen"]

# Digits become one, `_` becomes `-`, white space and the quote become `/`: `:/` finds `://`, `: `.
_FOLD = bytes.maketrans(b'0123456789_ \t\n\r\f\v"', b"0000000000-///////")
# A prefix and a long rest (not within a UUID), a PEM header, a webhook secret.
_DASHED = re.compile(rb"-(?:(?![0a-f]{4}-[0a-f]{4}-)[A-Za-z0-]{18}|----|(?<=c-)(?<=whsec-))").search
_DOTTED = re.compile(rb"\.[A-Za-z0-]{18}").search
_DIGITS = re.compile(rb"0000(?:0{9}|[/-]0000)").search
_COLON = re.compile(rb":(?:/|(?<=/:)|(?<=[rw]d:))").search  # and `password:hunter2`
_BEARER = re.compile(rb"earer/").search


class Screen:
    """Call it with a text: True where no pattern can match. Safe between threads."""

    def __init__(self, hints: Iterable[str] = ()) -> None:
        """`hints` are those of the operator's own patterns; an empty one lets nothing pass."""
        self._hints = tuple(hints)

    def __call__(self, text: str) -> bool:
        """Tell whether `text` is clean."""
        if "=" in text:
            return False
        folded = text.encode("utf-8", "surrogatepass").translate(_FOLD)
        return not (
            (("-" in text or "_" in text) and _DASHED(folded))
            or _DIGITS(folded)
            or (":" in text and _COLON(folded))
            or _BEARER(folded)
            or ("." in text and _DOTTED(folded))
            or ("J" in text and "eyJ" in text)
            or ("I" in text and ("KIA" in text or "SIA" in text or "BIA" in text or "AIza" in text))
            or ("B" in text and _upper_scheme(folded))
            or (self._hints and any(hint in text for hint in self._hints))
        )


def _upper_scheme(folded: bytes) -> bool:
    return b"Basic/" in folded or b"BASIC/" in folded or b"BEARER/" in folded
