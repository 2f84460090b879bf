"""The sink as a process that stops at a point, for a test to kill it there.

`python -m tests.sink_process POINT FILE`: settings come from the environment, FILE is made when the
point is reached; the process then hangs.
"""

import sys
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from auditbus.runtime.dead_letters import DeadLetterWriter
from auditbus.runtime.settings import load_settings
from auditbus.sinks.clickhouse import run
from auditbus.sinks.clickhouse.consumer import TopicConsumer
from auditbus.sinks.clickhouse.writer import Writer

POINTS = ("before_insert", "after_insert", "before_commit", "after_dead_letter")


def main(point: str, reached: Path) -> None:
    def hang() -> None:
        reached.touch()
        threading.Event().wait()

    def hang_before(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            hang()
            return method(*args, **kwargs)

        return wrapped

    def hang_after(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def wrapped(*args: Any, **kwargs: Any) -> None:
            method(*args, **kwargs)
            hang()

        return wrapped

    if point == "before_insert":
        Writer.insert = hang_before(Writer.insert)  # type: ignore[method-assign]
    elif point == "after_insert":
        Writer.insert = hang_after(Writer.insert)  # type: ignore[method-assign]
    elif point == "before_commit":
        TopicConsumer.commit = hang_before(TopicConsumer.commit)  # type: ignore[method-assign]
    elif point == "after_dead_letter":
        DeadLetterWriter.flush = hang_after(DeadLetterWriter.flush)  # type: ignore[method-assign]
    run(load_settings())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
