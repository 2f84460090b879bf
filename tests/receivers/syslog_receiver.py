"""A syslog receiver in this process, for what real daemons do not do on demand.

It keeps each connection's bytes apart, and reads, waits, resets or closes as the test says.
"""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.pipeline import wait_until

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of no time: close() sends a reset


class Connection:
    """One accepted connection and what was read from it."""

    def __init__(self, accepted: socket.socket, number: int) -> None:
        self.socket = accepted
        self.number = number  # 0 for the first
        self.read = bytearray()
        self.ended = threading.Event()  # the peer's stream came to its end in good order

    def read_all(self) -> None:
        """Read until the peer has ended."""
        while data := self.socket.recv(65536):
            self.read += data
        self.ended.set()

    def read_some(self, count: int) -> None:
        """Read `count` bytes and no more."""
        while len(self.read) < count:
            data = self.socket.recv(count - len(self.read))
            assert data, "ended early"
            self.read += data

    def reset(self) -> None:
        """Close at once, what is unread thrown away."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.socket.close()


class Receiver:
    def __init__(self, port: int) -> None:
        self.port = port
        self.connections: list[Connection] = []

    def accepted(self, count: int) -> list[Connection]:
        """The connections, once there are `count`: a client's connect() does not wait for us."""
        wait_until(lambda: len(self.connections) >= count, deadline_s=10, what="connections")
        return self.connections


@contextmanager
def receiving(
    handle: Callable[[Connection], None],
    *,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
    buffer_bytes: int | None = None,
) -> Iterator[Receiver]:
    """Serve on loopback until the block ends; `handle` runs in a thread a connection.

    `buffer_bytes`: what the kernel takes (and acknowledges) unread, about.
    """
    listener = socket.create_server(("127.0.0.1", port))
    if buffer_bytes is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    receiver = Receiver(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(accepted: socket.socket, number: int) -> None:
        with suppress(OSError):  # resets and refused handshakes are what tests are about
            served = tls.wrap_socket(accepted, server_side=True) if tls else accepted
            connection = Connection(served, number)
            receiver.connections.append(connection)
            with served:
                handle(connection)
        accepted.close()

    def accept() -> None:
        for number in range(1_000_000):
            try:
                accepted, _ = listener.accept()
            except OSError:  # the block has ended
                return
            threads.append(threading.Thread(target=serve, args=(accepted, number), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield receiver
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes accept(), which close() does not
        listener.close()
        acceptor.join(5)
        for connection in receiver.connections:
            with suppress(OSError):
                connection.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(5)
