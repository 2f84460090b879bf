"""The logs of all children on one stream, each line after the name of its child."""

import threading
from collections.abc import Iterable
from itertools import cycle
from typing import TextIO

_COLORS = cycle(
    ("36", "33", "35", "32", "34", "96", "93", "95")
)  # ANSI foregrounds that read on dark and light
_NAME_WIDTH = 10


class ChildLog:
    """Writes lines to `stream`, with colored names in a terminal. Threads may share it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._colors: dict[str, str] = {}
        self._lock = threading.Lock()

    def copy(self, name: str, output: Iterable[bytes]) -> None:
        """Write every line of `output` until its end; blocks as long.

        Goes on reading when the stream is gone (`auditbus up | head`): a full pipe would stop the
        child.
        """
        for line in output:
            text = line.decode(errors="replace").rstrip("\r\n")
            try:
                with self._lock:
                    self._stream.write(f"{self._prefix(name)} {text}\n")
                    self._stream.flush()
            except (OSError, ValueError):
                continue

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{_NAME_WIDTH}}│"
        if not self._terminal:
            return padded
        if name not in self._colors:
            self._colors[name] = next(_COLORS)
        return f"\x1b[{self._colors[name]}m{padded}\x1b[0m"
