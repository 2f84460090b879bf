"""Which events of the raw topic a live tail has come past: offsets, with what is still missing.

`up_to` is the newest offset of each partition that was looked at. Of the `LOOK_BACK` offsets before
it, `missing` are those that were not stored by then: they may yet come, as events may overtake each
other on their way into the store, or never (dead letters). So a tail that resumes from the text
form repeats nothing and misses nothing, whatever happened to the process in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["LOOK_BACK", "Cursor"]

LOOK_BACK = 1_000
"""Offsets by which one event may be overtaken by another of its partition."""

_MOST_CHARACTERS = 16_384
_MOST_MISSING = 200  # of one partition in the text: older ones are given up
_SINCE = re.compile(r"s(\d{1,10})")
_PARTITION = re.compile(r"(\d{1,9})\.(\d{1,18})((?:-\d{1,4}(?:_\d{1,4})?)*)")


@dataclass(slots=True)
class Cursor:
    """Mutable: `add` what was looked at, in order of the offsets where possible.

    `since_s` bounds the search for what comes after: Unix time before which nothing new was
    received.
    """

    up_to: dict[int, int] = field(default_factory=dict)
    missing: dict[int, set[int]] = field(default_factory=dict)
    since_s: int = 0

    @classmethod
    def at(cls, heads: Mapping[int, int], stored: Iterable[tuple[int, int]]) -> Cursor:
        """Return the cursor past the newest offsets.

        `stored` are partition and offset of what is there, of the last `LOOK_BACK` at least.
        """
        there: dict[int, set[int]] = {}
        for partition, offset in stored:
            there.setdefault(partition, set()).add(offset)
        missing = {
            partition: set(range(max(0, head - LOOK_BACK + 1), head)) - there.get(partition, set())
            for partition, head in heads.items()
        }
        return cls(dict(heads), missing)

    def copy(self) -> Cursor:
        """Return one that changes by itself."""
        missing = {name: set(found) for name, found in self.missing.items()}
        return Cursor(dict(self.up_to), missing, self.since_s)

    def add(self, partition: int, offset: int) -> None:
        """Come past one event."""
        head = self.up_to.get(partition, -1)
        missing = self.missing.setdefault(partition, set())
        if offset <= head:
            missing.discard(offset)
            return
        floor = offset - LOOK_BACK
        missing.update(range(max(head, floor) + 1, offset))
        if missing and min(missing) <= floor:
            missing.difference_update([old for old in missing if old <= floor])
        self.up_to[partition] = offset

    def has(self, partition: int, offset: int) -> bool:
        """Say whether it has come past this event."""
        head = self.up_to.get(partition, -1)
        if offset > head:
            return False
        return offset <= head - LOOK_BACK or offset not in self.missing.get(partition, ())

    def __str__(self) -> str:
        """Return it as an SSE id.

        `s1763800000~3.1200-5_2-1` is partition 3 up to 1200, but for 1195 to 1197 and 1199.
        """
        parts = (
            f"{partition}.{head}{_gaps(head, self.missing.get(partition, ()))}"
            for partition, head in sorted(self.up_to.items())
        )
        return "~".join((f"s{self.since_s}", *parts))

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Raise ValueError where `text` is not what `str` makes of a cursor."""
        cursor = cls()
        since, *parts = text.split("~")
        if len(text) > _MOST_CHARACTERS or not (start := _SINCE.fullmatch(since)):
            raise ValueError("not a place in this log")
        cursor.since_s = int(start[1])
        for part in parts:
            match = _PARTITION.fullmatch(part)
            if match is None:
                raise ValueError("not a place in this log")
            partition, head = int(match[1]), int(match[2])
            cursor.up_to[partition] = head
            cursor.missing[partition] = _offsets(head, match[3])
        return cursor


def _gaps(head: int, missing: Iterable[int]) -> str:
    text = ""
    newest = sorted(missing)[-_MOST_MISSING:]
    start = 0
    while start < len(newest):
        end = start
        while end + 1 < len(newest) and newest[end + 1] == newest[end] + 1:
            end += 1
        more = f"_{end - start}" if end > start else ""
        text += f"-{head - newest[start]}{more}"
        start = end + 1
    return text


def _offsets(head: int, gaps: str) -> set[int]:
    found: set[int] = set()
    for gap in gaps.split("-")[1:]:
        back, _, more = gap.partition("_")
        first = head - int(back)
        found.update(range(max(0, first), min(head, first + int(more or 0) + 1)))
    return found
