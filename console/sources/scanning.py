"""Where a JSON value ends: brackets counted outside strings, over text that comes in pieces."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

from auditbus.console.sources.reading import BrokenInput

__all__ = ["Scan", "Window"]

_SPACE, _QUOTE = b' "'
_STRUCTURE = re.compile(rb'["{}\[\]]')
_OPENING = b"{["
# All of a string's rest but its closing quote; stops before a backslash whose pair has not come.
_STRING_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_BLANK = re.compile(rb"[ \t\r\n]*")


class Window:
    """The part of the text that is held: `data` from `start` on. `line` counts from 1.

    `fault` says why the text ended before its end, once it did: what is held is still good.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        """Hold nothing yet."""
        self.data = b""
        self.start = 0
        self.line = 1
        self.fault: str | None = None
        self._chunks = chunks

    @property
    def held(self) -> int:
        """Bytes from `start` on."""
        return len(self.data) - self.start

    def more(self) -> bool:
        """Hold one chunk more and forget what lies before `start`; False at the end."""
        try:
            chunk = next(self._chunks, b"")
        except BrokenInput as error:
            self.fault = str(error)
            return False
        if not chunk:
            return False
        self.data = self.data[self.start :] + chunk
        self.start = 0
        return True

    def skip_to(self, position: int) -> None:
        """Move `start`, counting lines."""
        self.line += self.data.count(b"\n", self.start, position)
        self.start = position

    def skip_blanks(self) -> bool:
        """Move to what is not white space; False at the end of the text."""
        if self.start < len(self.data) and self.data[self.start] > _SPACE:
            return True
        while True:
            found = _BLANK.match(self.data, self.start)
            self.skip_to(found.end() if found else self.start)
            if self.held:
                return True
            if not self.more():
                return False


class Scan:
    """Looks for the end of the object or array that begins at a window's start.

    It never looks at a byte twice, however the text is cut. Brackets of another kind count alike:
    whether the value is JSON is for a parser to say.
    """

    __slots__ = ("_depth", "_in_string", "position")

    def __init__(self, depth: int = 0) -> None:
        """Begin outside of any value, or `depth` values deep."""
        self.position = 0
        self._depth = depth
        self._in_string = False

    def end(self, window: Window, most_bytes: int = sys.maxsize) -> int | None:
        """Return the value's length, or None where it goes on past `most_bytes` or what is held."""
        data, base = window.data, window.start
        position, stop = base + self.position, min(len(data), base + most_bytes)
        while True:
            if self._in_string:
                rest = _STRING_REST.match(data, position, stop)
                position = rest.end() if rest else position
                if position >= stop or data[position] != _QUOTE:
                    break
                position += 1
                self._in_string = False
            found = _STRUCTURE.search(data, position, stop)
            if found is None:
                position = max(position, stop)
                break
            position = found.end()
            byte = data[position - 1]
            if byte == _QUOTE:
                self._in_string = True
            elif byte in _OPENING:
                self._depth += 1
            else:
                self._depth -= 1
                if self._depth <= 0:
                    self.position = position - base
                    return self.position
        self.position = position - base
        return None

    def forget(self, window: Window) -> None:
        """Let the window move past what was looked at: the value is not wanted."""
        window.skip_to(window.start + self.position)
        self.position = 0
