r"""From text to records, one at a time: NDJSON, single objects, arrays, envelopes, in any sequence.

What is broken costs only itself where the form tells where the next record begins: at the next
line that begins with a bracket; in an array at the next separator (`elements.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from auditbus.console.sources.elements import Elements
from auditbus.console.sources.records import (
    MAX_RECORD_BYTES,
    Content,
    Found,
    is_one_value,
    is_syntax_fault,
    malformed,
    parsed,
    too_large,
)
from auditbus.console.sources.scanning import Scan, Window
from auditbus.schemas.errors import InvalidEvent

__all__ = ["split_lines", "split_records"]

_ARRAY, _OBJECT = b"["[0], b"{"[0]
_PRELUDE_BYTES = 256
# Nobody who writes one value over several lines begins one of them with a bracket in column 1.
_NEXT_VALUE = re.compile(rb"\n[{\[]")
_LINE = re.compile(rb"\n")
_GOES_ON = (b"{", b"[", b",")


def split_lines(chunks: Iterable[bytes]) -> Iterator[Found]:
    """Yield the text of each line that is not blank: auditbus's own NDJSON."""
    window = Window(iter(chunks))
    while window.skip_blanks():
        number = window.line
        raw = _text_before(window, _LINE)
        if raw is None:
            yield Found("line", number, _discarded(window, _LINE))
        else:
            window.skip_to(window.start + len(raw))
            yield Found("line", number, raw)
    if window.fault:
        yield Found("line", window.line, malformed(window.fault))


def split_records(chunks: Iterable[bytes], envelope: str) -> Iterator[Found]:
    """Yield every record, most of them unread.

    An object whose member `envelope` is an array stands for its elements.
    Arrays and envelopes may be larger than memory: no more is held than one record may have
    (MAX_RECORD_BYTES) and a chunk.
    """
    window = Window(iter(chunks))
    yield from _Splitter(window, envelope).values()
    if window.fault:
        yield Found("line", window.line, malformed(window.fault))


class _Splitter:
    def __init__(self, window: Window, envelope: str) -> None:
        self._window = window
        self._elements = Elements(window)
        self._key = f'"{envelope}"'.encode()
        # Members before the records: texts, numbers, flat objects such as Kubernetes' `metadata`.
        self._prelude = re.compile(
            rb'\{(?:\s*"[^"\\]*+"\s*:\s*(?:"[^"\\]*+"|\{[^{}\[\]]*+\}|[\w.+-]++)\s*,)*+\s*'
            + re.escape(self._key)
            + rb"\s*:\s*\["
        )

    def values(self) -> Iterator[Found]:
        window = self._window
        while window.skip_blanks():
            first = window.data[window.start]
            if first == _OBJECT:
                if (found := self._whole_line()) is not None:
                    yield found
                elif (opening := self._opening()) is not None:
                    window.skip_to(opening)
                    yield from self._elements
                    if (cut := self._rest_of_envelope()) is not None:
                        yield cut
                else:
                    yield self._object()
            elif first == _ARRAY:
                window.start += 1
                yield from self._elements
            else:
                yield self._line()

    def _whole_line(self) -> Found | None:
        """Take a line that is one record: the usual case. None, and nothing taken, otherwise."""
        window = self._window
        data, start = window.data, window.start
        end = data.find(b"\n", start)
        if end < 0:
            return None
        if data.find(self._key, start, min(end, start + _PRELUDE_BYTES)) > 0 and (
            self._prelude.match(data, start)
        ):
            return None
        raw = data[start:end]
        if not is_one_value(raw):
            return None
        found = Found("line", window.line, raw)
        window.start = end + 1
        window.line += 1
        return found

    def _opening(self) -> int | None:
        """Return where an envelope's first element lies, or None where no envelope begins here."""
        window = self._window
        while window.held < _PRELUDE_BYTES and window.more():
            pass
        found = self._prelude.match(window.data, window.start)
        return found.end() if found else None

    def _rest_of_envelope(self) -> Found | None:
        """Move past what follows the records in their envelope."""
        if self._elements.open:
            return None  # the text ended there, and it was said
        scan = Scan(depth=1)
        window = self._window
        while (length := scan.end(window)) is None:
            scan.forget(window)
            if not window.more():
                return Found("line", window.line, malformed("the object is not closed: truncated"))
        window.skip_to(window.start + length)
        return None

    def _object(self) -> Found:
        """Take one object: over several lines, one of several on a line, or a broken one."""
        window, number = self._window, self._window.line
        if window.data.find(b"\n", window.start) < 0 and (
            # Many may follow on the same line: don't look for its end for each of them.
            (content := self._counted(MAX_RECORD_BYTES)) is not None
        ):
            return Found("line", number, content)
        raw = _text_before(window, _NEXT_VALUE)
        if raw is not None and not is_syntax_fault(whole := parsed(raw)):
            window.skip_to(window.start + len(raw))
            return Found("line", number, whole)
        content = self._counted(MAX_RECORD_BYTES if raw is None else len(raw))
        if content is not None:
            return Found("line", number, content)
        if raw is None:
            return Found("line", number, _discarded(window, _NEXT_VALUE))
        line, _, rest = raw.partition(b"\n")
        if rest and line.rstrip().endswith(_GOES_ON):
            window.skip_to(window.start + len(raw))
            return Found("line", number, whole)
        window.skip_to(window.start + len(line))
        return Found("line", number, parsed(line))

    def _counted(self, most_bytes: int) -> Content | None:
        """Take what its brackets say is an object. None, and nothing taken, where it is none."""
        window = self._window
        length = Scan().end(window, most_bytes)
        if length is None:
            return None
        content = parsed(window.data[window.start : window.start + length])
        if is_syntax_fault(content):
            return None
        window.skip_to(window.start + length)
        return content

    def _line(self) -> Found:
        """Take a line that begins with no bracket: no record, whatever it is."""
        window, number = self._window, self._window.line
        raw = _text_before(window, _LINE)
        if raw is None:
            return Found("line", number, _discarded(window, _LINE))
        window.skip_to(window.start + len(raw))
        return Found("line", number, parsed(raw))


def _text_before(window: Window, end: re.Pattern[bytes]) -> bytes | None:
    """Return the text up to `end` or the end of all, reading on; None where it is too long."""
    looked = 0
    while (found := end.search(window.data, window.start + looked)) is None:
        if window.held > MAX_RECORD_BYTES:
            return None
        looked = max(0, window.held - 1)  # the pattern may lie across the pieces
        if not window.more():
            return window.data[window.start :]
    if found.start() - window.start > MAX_RECORD_BYTES:
        return None
    return window.data[window.start : found.start()]


def _discarded(window: Window, end: re.Pattern[bytes]) -> InvalidEvent:
    """Move past what is too long, up to `end`, without holding it."""
    size_bytes = 0
    while (found := end.search(window.data, window.start)) is None:
        passed = max(0, window.held - 1)
        size_bytes += passed
        window.skip_to(window.start + passed)
        if not window.more():
            size_bytes += window.held
            window.skip_to(len(window.data))
            return too_large(size_bytes)
    size_bytes += found.start() - window.start
    window.skip_to(found.start())
    return too_large(size_bytes)
