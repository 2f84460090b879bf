"""A console's export desk in a process of its own, which stalls in the second slice of an export.

`python -m tests.export_process DIRECTORY`, with the store in the environment; kill it to end it.
"""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from auditbus.console.access import Recorder
from auditbus.console.export.jobs import ExportDesk
from auditbus.console.export.stream import ExportStream
from auditbus.producers.testing import RecordingProducer
from auditbus.runtime.settings import load_settings
from auditbus.sinks.clickhouse.client import new_client


def main(directory: Path) -> None:
    whole = ExportStream.slice_chunks

    def stalling(stream: ExportStream, part: object) -> Iterator[bytes]:
        is_first = part is stream.plan.slices[0]
        for chunk in whole(stream, part):  # type: ignore[arg-type]
            yield chunk
            if not is_first:
                sys.stdout.write("stalled\n")
                sys.stdout.flush()
                threading.Event().wait()

    ExportStream.slice_chunks = stalling  # type: ignore[method-assign,assignment]
    settings = load_settings()
    console = settings.console.model_copy(update={"exports_dir": directory})
    desk = ExportDesk(
        settings.model_copy(update={"console": console}),
        new_client(settings.clickhouse),
        Recorder(RecordingProducer()),
    )
    desk.start()
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
