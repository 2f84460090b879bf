"""A webhook receiver that counts: `python -m auditbus.deploy.local.demo.receiver --port N`.

It listens on loopback, verifies each delivery's signature (Standard Webhooks,
https://github.com/standard-webhooks/standard-webhooks) and tells at GET /count how many distinct
events have arrived. Prints one line of JSON, {"url": …}, once it listens. The signing secret
comes from a file: an argument would show it to every user of the machine. Ends on SIGTERM or
SIGINT. Exit codes: 0 stopped, 2 wrong usage or no secret, 3 the port is taken.
"""

import argparse
import json
import sys
import threading
from base64 import b64decode
from collections import OrderedDict
from dataclasses import asdict, dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

from standardwebhooks import Webhook, WebhookVerificationError

from auditbus.runtime.shutdown import stop_on_signals

_LOOPBACK = "127.0.0.1"
_MAX_BODY_BYTES = 64 * 1024 * 1024
_REPORT_EVERY_S = 30.0


@dataclass(slots=True)
class Counts:
    """What has arrived.

    Attributes:
        distinct: events by id.
        repeats: events whose id had come before.
        deliveries: accepted requests.
        refused: requests with a wrong signature or a body that holds no events.
    """

    distinct: int = 0
    repeats: int = 0
    deliveries: int = 0
    refused: int = 0


class Counter:
    """Counts deliveries; safe to use from several threads.

    Memory is bounded: of the ids only the newest `remembered_ids` are kept (some 150 bytes each),
    so that a repeat that comes later than that counts as distinct.
    """

    def __init__(self, secret: str, *, remembered_ids: int = 500_000) -> None:
        """`secret` is base64, with or without whsec_ before it; raises ValueError if it is not."""
        # Strictly: the package's own decoding takes any text for a secret.
        key = b64decode(secret.removeprefix("whsec_"), validate=True)
        if not key:
            raise ValueError("the signing secret is empty")
        self._webhook = Webhook(key)
        self._remembered_ids = remembered_ids
        self._ids: OrderedDict[bytes, None] = OrderedDict()
        self._counts = Counts()
        self._lock = threading.Lock()

    def receive(self, body: bytes, headers: dict[str, str]) -> bool:
        """Count one request; False where it must be refused."""
        try:
            self._webhook.verify(body, headers, json_parse=False)
            ids = [UUID(event["id"]).bytes for event in json.loads(body)["data"]]
        except (WebhookVerificationError, ValueError, TypeError, KeyError, AttributeError):
            with self._lock:
                self._counts.refused += 1
            return False
        with self._lock:
            self._counts.deliveries += 1
            for id_ in ids:
                self._count(id_)
        return True

    def counts(self) -> Counts:
        """Return a copy of the counts."""
        with self._lock:
            return Counts(**asdict(self._counts))

    def _count(self, id_: bytes) -> None:
        if id_ in self._ids:
            self._counts.repeats += 1
            return
        self._counts.distinct += 1
        self._ids[id_] = None
        if len(self._ids) > self._remembered_ids:
            self._ids.popitem(last=False)


class ReceiverServer(ThreadingHTTPServer):
    """The HTTP server; raises OSError where the port is taken."""

    daemon_threads = True

    def __init__(self, port: int, counter: Counter) -> None:
        """Listen on loopback; `port` 0 takes a free one."""
        self.counter = counter
        super().__init__((_LOOPBACK, port), _Handler)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{_LOOPBACK}:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that an idle connection may keep its thread
    server: ReceiverServer

    def do_GET(self) -> None:
        if self.path != "/count":
            self._answer(HTTPStatus.NOT_FOUND)
            return
        self._answer(HTTPStatus.OK, asdict(self.server.counter.counts()))

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            self._refuse_unread(HTTPStatus.LENGTH_REQUIRED)
            return
        if int(length) > _MAX_BODY_BYTES:
            self._refuse_unread(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = self.rfile.read(int(length))
        accepted = self.server.counter.receive(body, dict(self.headers.items()))
        self._answer(HTTPStatus.OK if accepted else HTTPStatus.UNAUTHORIZED)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: a line for each delivery would bury everything else."""

    def _refuse_unread(self, status: HTTPStatus) -> None:
        self.close_connection = True  # or the unread body would be taken for the next request
        self._answer(status)

    def _answer(self, status: HTTPStatus, body: dict[str, Any] | None = None) -> None:
        content = json.dumps(body or {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def main(arguments: list[str] | None = None) -> int:
    """Receive until a signal; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="auditbus.deploy.local.demo.receiver",
        description="Counts the events that a webhook destination delivers.",
    )
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--secret-file", type=Path, required=True, help="the signing secret")
    options = parser.parse_args(arguments)
    try:
        counter = Counter(options.secret_file.read_text(encoding="utf-8").strip())
    except (OSError, ValueError) as error:
        return _fail(2, f"--secret-file: {error}")
    stop = stop_on_signals()
    try:
        server = ReceiverServer(options.port, counter)
    except OSError as error:
        return _fail(3, f"port {options.port}: {error}")
    with server:
        thread = threading.Thread(target=server.serve_forever, name="receiver", daemon=True)
        thread.start()
        sys.stdout.write(json.dumps({"url": server.url}) + "\n")
        sys.stdout.flush()
        while not stop.wait(_REPORT_EVERY_S):
            sys.stdout.write(_progress(counter.counts(), server.url) + "\n")
            sys.stdout.flush()
        server.shutdown()
        thread.join()
    return 0


def _progress(counts: Counts, url: str) -> str:
    """Return the line by which a first run shows that events reach a webhook."""
    return (
        f"{counts.distinct:,} events pushed here by the forwarder, {counts.repeats:,} repeated, "
        f"{counts.refused:,} requests refused; see {url}/count"
    )


def _fail(exit_code: int, reason: str) -> int:
    sys.stderr.write(f"auditbus demo receiver: {reason}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
