"""The records of one array, however large it is, found without parsing it as a whole.

Writers are uniform: `},{"first key"` between two records, with the white space of the records
before, is searched for, and parsing what lies before it proves the guess: a whole object is never
the beginning of another. Where the proof fails, brackets are counted instead. Only where the
record itself is no JSON does the separator alone tell where the next one begins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import orjson

from auditbus.console.sources.records import (
    MAX_RECORD_BYTES,
    Content,
    Found,
    Unread,
    is_one_value,
    is_syntax_fault,
    malformed,
    parsed,
    too_large,
)
from auditbus.console.sources.scanning import Scan, Window

__all__ = ["Elements"]

_OBJECT, _ARRAY, _COMMA, _END = b"{["[0], b"{["[1], b","[0], b"]"[0]
_KEY = rb'\{\s*"(?:[^"\\]|\\.)*+"'
_FIRST_KEY = re.compile(_KEY, re.DOTALL)
_BETWEEN = re.compile(rb"\s*,\s*" + _KEY, re.DOTALL)
_FOLLOWED = re.compile(rb"\s*[,\]]")
_SCALAR = re.compile(rb'(?:"(?:[^"\\]|\\.)*+"|[^,\]"])++', re.DOTALL)
_ANY_NEXT = re.compile(rb",\s*" + _KEY, re.DOTALL)
_PEEK_BYTES = 64 * 1024
# More than a separator has; the white space in it is not bounded, but nobody writes so much.
_NEAR_BYTES = 1000
_TRUNCATED = "the input ends inside the array: it is truncated"


class Elements:
    """Yields the elements of the array that begins before the window's start.

    To be iterated again for each array of a file. `number` counts the elements of all of them;
    `open` tells whether the array's end has not been seen.
    """

    def __init__(self, window: Window) -> None:
        """Nothing is known of the separator yet."""
        self.number = 0
        self.open = False
        self._window = window
        self._separator: bytes | None = None
        self._next = _ANY_NEXT

    def __iter__(self) -> Iterator[Found]:
        """Yield until the array's end or that of the text, which is said."""
        window = self._window
        self.open = True
        while window.skip_blanks():
            first = window.data[window.start]
            if first == _OBJECT:
                self.number += 1
                yield Found("record", self.number, self._element())
            elif first == _COMMA:
                window.start += 1
            elif first == _END:
                window.start += 1
                self.open = False
                return
            else:
                self.number += 1
                yield Found("record", self.number, self._stray(first))
        yield Found("record", self.number + 1, malformed(_TRUNCATED))

    def _element(self) -> Content | Unread:
        window = self._window
        if self._separator is None:
            self._begin()
        if (separator := self._separator) is not None:
            end = window.data.find(separator, window.start)
            while end < 0 and window.held <= MAX_RECORD_BYTES and window.more():
                end = window.data.find(separator, window.start)
            if 0 <= end <= window.start + MAX_RECORD_BYTES:
                raw = window.data[window.start : end + 1]
                if is_one_value(raw):
                    window.skip_to(end + 1)
                    return raw
        return self._counted()

    def _begin(self) -> None:
        """Guess by the first record's first key what comes between two records."""
        found = _FIRST_KEY.match(self._window.data, self._window.start)
        if found is not None:
            self._learn(b"," + found[0])

    def _learn(self, between: bytes) -> None:
        """Take a comma and what begins the next record; near a broken one, white space may vary."""
        self._separator = b"}" + between
        key = between[between.index(b'"') :]
        self._next = re.compile(rb",\s*\{\s*" + re.escape(key))

    def _counted(self) -> Content:
        """Take a record by counting its brackets; learn the separator from what follows it."""
        window = self._window
        scan = Scan()
        length = scan.end(window, _PEEK_BYTES)
        if length is None and (broke_at := self._broke_at(_PEEK_BYTES)) is not None:
            # Its brackets may never pair; there is no need to look for them further on.
            content = parsed(window.data[window.start : window.start + _PEEK_BYTES])
            self._pass_broken(broke_at, None)
            return content
        while length is None and scan.position <= MAX_RECORD_BYTES:
            if (length := scan.end(window)) is None and not window.more():
                break
        if length is None or length > MAX_RECORD_BYTES:
            return self._endless(scan, length)
        end = window.start + length
        content = parsed(window.data[window.start : end])
        if not is_syntax_fault(content):
            if found := _BETWEEN.match(window.data, end):
                self._learn(found[0])
            window.skip_to(end)
            return content
        broke_at = self._broke_at(_PEEK_BYTES) or self._broke_at(MAX_RECORD_BYTES) or length
        self._pass_broken(broke_at, end)
        return content

    def _endless(self, scan: Scan, length: int | None) -> Content:
        """Take a record that is too large, or whose brackets do not pair."""
        window = self._window
        if (broke_at := self._broke_at(MAX_RECORD_BYTES)) is not None:
            content = parsed(window.data[window.start : window.start + MAX_RECORD_BYTES])
            self._pass_broken(broke_at, None)
            return content
        size_bytes = 0
        while length is None:
            size_bytes += scan.position
            scan.forget(window)
            if not window.more():
                window.skip_to(len(window.data))
                return malformed("the input ends inside the record")
            length = scan.end(window)
        window.skip_to(window.start + length)
        return too_large(size_bytes + length)

    def _broke_at(self, most_bytes: int) -> int | None:
        """Return how far the record is JSON, None where that is as far as was looked."""
        start = self._window.start
        text = self._window.data[start : start + most_bytes]
        fault = _fault(text)
        return fault if fault is not None and fault < len(text) else None

    def _pass_broken(self, fault: int, balanced: int | None) -> None:
        """Move past a record that is JSON for `fault` bytes.

        `balanced` is where its brackets pair, if they do.
        """
        window = self._window
        data, start = window.data, window.start
        broke_at = start + fault
        for found in self._next.finditer(data, max(start + 1, broke_at - _NEAR_BYTES)):
            if found.start() > broke_at:
                break
            if broke_at <= found.end():
                # A quote or a bracket was missing: the parser went on into the next record.
                window.skip_to(found.start())
                return
        if balanced is not None and _FOLLOWED.match(data, balanced):
            window.skip_to(balanced)
            return
        window.skip_to(min(broke_at, len(data)))
        while (following := self._next.search(window.data, window.start)) is None:
            window.skip_to(max(window.start, len(window.data) - _NEAR_BYTES))
            if not window.more():
                window.skip_to(len(window.data))
                return
        window.skip_to(following.start())

    def _stray(self, first: int) -> Content:
        """Move past an element that is no object."""
        window = self._window
        if first == _ARRAY:
            scan = Scan()
            while (length := scan.end(window)) is None:
                scan.forget(window)
                if not window.more():
                    break
            window.skip_to(len(window.data) if length is None else window.start + length)
            return parsed(b"[]")  # not an object, whatever is in it
        found = _SCALAR.match(window.data, window.start)
        while found and found.end() == len(window.data) and window.held <= MAX_RECORD_BYTES:
            if not window.more():
                break
            found = _SCALAR.match(window.data, window.start)
        end = found.end() if found else window.start + 1
        content = parsed(window.data[window.start : end].strip())
        window.skip_to(end)
        return content


def _fault(text: bytes) -> int | None:
    """Return how many bytes of `text` come before its fault: all, where it only ends too early."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if "unexpected end" in error.msg:
            return len(text)
        try:
            text.decode()
        except UnicodeDecodeError as broken:
            return len(text) if broken.end == len(text) else broken.start
        return len(error.doc[: error.pos].encode())
    return None
