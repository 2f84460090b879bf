"""TCP ports of local mode: chosen once per data directory, so that restarts keep addresses."""

import json
import secrets
import socket
from collections.abc import Collection
from pathlib import Path

from auditbus.runtime.atomic_file import write_atomically

LOOPBACK = "127.0.0.1"
# Below the kernel's range for outgoing connections (32768 and up): none can take the port while
# its owner is down.
_LOWEST, _HIGHEST = 20_000, 32_000


def kept_port(record: Path, name: str) -> int:
    """Return the port called `name` in the JSON file `record`, choosing one at first.

    A kept port that a foreign program listens on is replaced: starting matters more than the
    number.
    """
    ports: dict[str, int] = json.loads(record.read_bytes()) if record.exists() else {}
    if name not in ports or not _is_free(ports[name]):
        ports[name] = free_port(taken=set(ports.values()))
        write_atomically(record, json.dumps(ports, indent=2).encode() + b"\n")
    return ports[name]


def free_port(taken: Collection[int] = ()) -> int:
    """Return a loopback port that nobody listens on at the moment and that is not in `taken`."""
    while True:
        port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
        if port not in taken and _is_free(port):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: connections of the last run that linger in TIME_WAIT do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
