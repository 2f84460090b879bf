"""An HTTP server on loopback for receivers that behave as a vendor documents."""

import gzip
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Call:
    """One POST; the body is unpacked."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    packed_bytes: int


@dataclass(frozen=True)
class Reply:
    """What to answer. `before` runs first; `drop` closes the connection without an answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    before: Callable[[], object] = lambda: None
    drop: bool = False


Behaviour = Callable[[Call], Reply | None]
"""Looked at before the receiver itself; None lets the receiver answer."""


def normal(_call: Call) -> None:
    return None


@contextmanager
def serving(answer: Callable[[Call], Reply], *, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve until the block ends; yields the URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            packed = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            is_packed = headers.get("content-encoding") == "gzip"
            body = gzip.decompress(packed) if is_packed else packed
            reply = answer(Call(self.path, headers, body, len(packed)))
            reply.before()
            if reply.drop:
                self.close_connection = True
                return
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)
            except OSError:
                self.close_connection = True  # the forwarder gave up, or was killed

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A forwarder that is killed resets its connections."""

    server = Server(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
