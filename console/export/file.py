"""Into a file: whole or not at all, its manifest beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from auditbus.console.export.manifest import Manifest, manifest_path
from auditbus.console.export.request import RunningExport

__all__ = ["whole_file", "write_file"]


def write_file(running: RunningExport, path: Path, record: Callable[[Manifest], None]) -> Manifest:
    """Write the export to `path`, mode 0600, and its manifest; nothing is left where that fails.

    `record` is called once the file is complete, before it takes its name: an export that could
    not be recorded does not happen. Raises OSError, what `record` raises, and what
    `RunningExport.pieces` raises.
    """
    with whole_file(path) as file:
        for piece in running.pieces():
            file.write(piece)
        manifest = running.manifest(path.name)
        record(manifest)
        with whole_file(manifest_path(path)) as beside:
            beside.write(manifest.to_json())
    return manifest


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a file, mode 0600, that takes its name only at the end of the block."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
