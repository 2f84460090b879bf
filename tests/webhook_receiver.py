"""A webhook receiver as a customer would write one, verifying with the `standardwebhooks` package.

It answers as the test's `behaviour` says, and records only what it answered with 2xx.
"""

import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYq="


@dataclass(frozen=True)
class Request:
    """One verified request: its `webhook-id` and its envelope."""

    id: str
    envelope: dict[str, Any]
    body: bytes

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.envelope["data"]


@dataclass(frozen=True)
class Reply:
    """What to answer. `before` runs first; `drop` closes the connection without an answer.

    `drip_s` is a pause after each byte of the body.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    before: Callable[[], object] = lambda: None
    drop: bool = False
    drip_s: float = 0.0


Behaviour = Callable[[Request], Reply]


def accept(_request: Request) -> Reply:
    return Reply()


class Receiver:
    """Counts what it took. Everything it offers may be used from the test's thread at any time."""

    def __init__(self, url: str, secret: str) -> None:
        self.url = url
        self.secret = secret
        self.behaviour: Behaviour = accept
        self.requests: list[Request] = []  # every verified one, whatever the answer
        self.connections = 0
        self.refused = 0  # signatures that did not verify
        self.taken: list[Request] = []
        self._lock = threading.Lock()

    @property
    def delivered(self) -> Counter[str]:
        """How often each event id was taken."""
        with self._lock:
            return Counter(event["id"] for request in self.taken for event in request.events)

    @property
    def bodies(self) -> list[bytes]:
        with self._lock:
            return [request.body for request in self.taken]

    def order(self, account: str) -> list[int]:
        """The numbers of an account's events in the order they were first taken."""
        with self._lock:
            events = [e for r in self.taken for e in r.events if e["account"]["id"] == account]
        return list(dict.fromkeys(event["metadata"]["number"] for event in events))

    def handle(self, body: bytes, headers: dict[str, str]) -> Reply:
        try:
            envelope = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            with self._lock:
                self.refused += 1
            return Reply(400, body=b"bad signature")
        request = Request(headers["webhook-id"], envelope, body)
        with self._lock:
            self.requests.append(request)
            behaviour = self.behaviour
        reply = behaviour(request)
        reply.before()
        if 200 <= reply.status < 300 and not reply.drop:
            with self._lock:
                self.taken.append(request)
        return reply


@contextmanager
def receiving(
    *, secret: str = SECRET, tls: ssl.SSLContext | None = None, port: int = 0
) -> Iterator[Receiver]:
    """Serve on loopback until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            receiver.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            reply = receiver.handle(body, headers)
            if reply.drop:
                self.close_connection = True
                return
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                for byte in reply.body if reply.drip_s else ():
                    self.wfile.write(bytes([byte]))
                    time.sleep(reply.drip_s)
                self.wfile.write(b"" if reply.drip_s else reply.body)
            except OSError:
                self.close_connection = True  # the forwarder gave up, or was killed

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A forwarder that is killed resets its connections."""

    server = Server(("127.0.0.1", port), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    scheme = "https" if tls else "http"
    receiver = Receiver(f"{scheme}://127.0.0.1:{server.server_port}/hook", secret)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
