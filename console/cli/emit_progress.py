"""How far a long import is: bytes of the total, where it is known, and records a second."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)

__all__ = ["EmitProgress"]


class EmitProgress:
    """A display on standard error, silent where that is no terminal."""

    def __init__(self, total_bytes: int | None, console: Console | None = None) -> None:
        """`total_bytes` is that of all files; None where a pipe is among them."""
        console = console or Console(stderr=True)
        self._before = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("0 records", total=total_bytes)

    def update(self, bytes_read: int, records: int) -> None:
        """Show how much of the current file was read, and how many records were taken in all."""
        elapsed_s = self._progress.tasks[0].elapsed
        rate = f", {records / elapsed_s:,.0f}/s" if elapsed_s else ""
        self._progress.update(
            self._task,
            completed=self._before + bytes_read,
            description=f"{records:,} records{rate}",
        )

    def end_file(self, bytes_read: int, records: int) -> None:
        """Expect that the next `update` is about another file."""
        self.update(bytes_read, records)
        self._before += bytes_read

    def __enter__(self) -> Self:
        """Begin to show."""
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Take the display away."""
        self._progress.stop()
