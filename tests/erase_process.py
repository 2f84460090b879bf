"""`auditbus erase` as a process that stops at a point, for a test to kill it there.

`python -m tests.erase_process POINT ARGUMENT…`: a line is printed when the point is reached; the
process then hangs.
"""

import sys
import threading
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.httpclient import HttpClient

from auditbus.console.cli import main as auditbus
from auditbus.console.erasure import rewriting
from auditbus.sinks.clickhouse.writer import Writer

POINTS = ("writing", "deleting")
"""After two batches were written anew; before the originals are deleted."""


def main(point: str, arguments: list[str]) -> None:
    rewriting._BATCH_EVENTS = 2
    insert, command = Writer.insert, HttpClient.command
    batches = iter(range(2))

    def hang() -> None:
        sys.stdout.write("reached\n")
        sys.stdout.flush()
        threading.Event().wait()

    def inserting(*args: Any, **kwargs: Any) -> Any:
        if point == "writing" and next(batches, None) is None:
            hang()
        return insert(*args, **kwargs)

    def commanding(client: Client, text: str, *args: Any, **kwargs: Any) -> Any:
        if point == "deleting" and "DELETE" in text:
            hang()
        return command(client, text, *args, **kwargs)

    Writer.insert = inserting  # type: ignore[method-assign]
    HttpClient.command = commanding  # type: ignore[method-assign]
    auditbus(arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
