"""An S3-compatible server in a process of its own: moto's, which holds everything in memory."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.pipeline import wait_until

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
_START_S = 60


@contextmanager
def object_store() -> Iterator[str]:
    """Yield its address; it ends with the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    program = f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])"
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen([sys.executable, "-c", program], stdout=log, stderr=log) as process,
    ):

        def answers() -> bool:
            assert process.poll() is None, log.seek(0) or log.read().decode()
            try:
                return requests.get(f"{url}/moto-api/", timeout=2).ok
            except requests.ConnectionError:
                return False

        try:
            wait_until(answers, deadline_s=_START_S, what="the object store")
            yield url
        finally:
            process.terminate()
