"""A Call run on the engine: blocks, so on a worker thread; large results go block by block."""

from __future__ import annotations

import threading
from collections.abc import Generator
from dataclasses import dataclass

from auditbus.deploy.local.store import results
from auditbus.deploy.local.store.engine import Engine, Handle, Summary
from auditbus.deploy.local.store.protocol import Call

__all__ = ["Answer", "Blocks", "execute"]

# Where the client waits for the end, a result up to this size is held back, so that its error
# becomes a status. Beyond it the result starts, and an error ends it as `protocol.late_error` says.
_HELD_BYTES = 16 * 1024 * 1024


class Blocks:
    """The rest of a result; `next` and `close` may come from different threads, also at once."""

    def __init__(self, blocks: Generator[bytes]) -> None:
        self._blocks = blocks
        self._turn = threading.Lock()

    def next(self) -> bytes | None:
        """Return the next block, None at the end; raises EngineError where the query fails now."""
        with self._turn:
            return next(self._blocks, None)

    def close(self) -> None:
        """Cancel what still runs and release the handle; waits for a `next` under way."""
        with self._turn:
            self._blocks.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole result in `start`, or its beginning with more in `rest`, which must be closed."""

    start: bytes
    summary: Summary | None = None
    rest: Blocks | None = None


def execute(engine: Engine, call: Call) -> Answer:
    """Check and run a call; raises StoreError where it is refused or fails before its result."""
    statement = call.statement
    engine.guard.check(statement)
    handle = Handle(call.database, call.settings, read_only=call.read_only)
    if statement.verb in {"SELECT", "WITH"} and results.is_streamable(call.output_format):
        return _stream(handle, call)
    with handle:
        if statement.data is not None:
            return Answer(b"", handle.insert(statement.sql, statement.data))
        return Answer(*handle.query(statement.sql, call.output_format, call.parameters))


def _stream(handle: Handle, call: Call) -> Answer:
    blocks = Blocks(_result(handle, call))
    held_bytes = _HELD_BYTES if call.waits_for_end else 1
    start = bytearray()
    while len(start) < held_bytes:
        block = blocks.next()
        if block is None:
            return Answer(bytes(start))
        start += block
    return Answer(bytes(start), rest=blocks)


def _result(handle: Handle, call: Call) -> Generator[bytes]:
    sql, output_format = call.statement.sql, call.output_format
    lines = results.header_lines(output_format)
    empty = True
    with handle:
        for block in results.without_repeated_header(
            handle.stream(sql, output_format, call.parameters), lines
        ):
            empty = False
            yield block
        if empty and lines:
            # chDB streams nothing for no rows, but these formats have a header all the same.
            yield handle.query(sql, output_format, call.parameters)[0]
