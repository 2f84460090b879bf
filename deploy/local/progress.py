"""Progress of long work: one changing line in a terminal, a plain line now and then elsewhere."""

import sys
import time
from typing import TextIO

_PLAIN_INTERVAL_S = 5.0


class ProgressLine:
    """What long work is doing at the moment, written to `stream` (stderr by default)."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._written_at = 0.0

    def update(self, text: str) -> None:
        """Show `text` in place of the last one; outside a terminal at most every five seconds."""
        if self._terminal:
            self._write(f"\r\x1b[2K{text}")
        elif time.monotonic() - self._written_at >= _PLAIN_INTERVAL_S:
            self._written_at = time.monotonic()
            self._write(f"{text}\n")

    def finish(self, text: str) -> None:
        """Leave `text` as the last word."""
        self._write(f"\r\x1b[2K{text}\n" if self._terminal else f"{text}\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
