"""One TCP or TLS connection to a syslog server, and what the kernel knows of it.

TLS runs over memory rather than over the socket: so every byte that goes out is counted here, and
how many of them the peer has acknowledged is a subtraction.
"""

from __future__ import annotations

import fcntl
import math
import select
import socket
import ssl
import struct
import sys
import termios
import time
from contextlib import suppress

from auditbus.sinks.siem.target_guard import TargetGuard

__all__ = ["HungUp", "PeerClosed", "Stream"]

_CHUNK_BYTES = 64 * 1024
# A server judges the client's certificate when the handshake has ended here: in TLS 1.3 all of it,
# in rsyslog its name in any version. A refusal is an alert, or, from rsyslog, a mere hanging up.
# Mostly it comes at once; what is sent until then its kernel acknowledges, and nobody reads.
_FIRST_WORD_S, _PROBATION_S = 0.2, 1.0
_FAREWELL_S = 0.5
_POLL_FIRST_S, _POLL_LAST_S = 0.0001, 0.01
_KEEPALIVE_S = 30
_IS_LINUX = sys.platform == "linux"
# Of Linux's struct tcp_info: its oldest part, tcpi_last_ack_recv in it, and a value of tcpi_state.
_TCP_INFO_BYTES = 104
_LAST_ACK_MS = struct.Struct("56xI")
_TCP_CLOSE_WAIT = 8


class PeerClosed(OSError):
    """The peer has closed the connection, in good order or not."""


class HungUp(PeerClosed):
    """The peer ended a new TLS connection without a word."""


class Stream:
    """Not thread-safe but for `wait_acknowledged`: the owner's lock is held for the rest.

    Every method may raise OSError, of which ssl.SSLError and PeerClosed are kinds; the stream is
    of no use then.
    """

    def __init__(self, connected: socket.socket, timeout_s: float) -> None:
        """Take over a connected socket."""
        connected.settimeout(timeout_s)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if _IS_LINUX:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_S)
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_S)
        self._socket = connected
        self._timeout_s = timeout_s
        self._written = 0
        self._proven_at = 0.0
        self._tls: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._events = select.poll()
        self._events.register(connected, select.POLLIN)

    @classmethod
    def connect(
        cls,
        host: str,
        port: int,
        *,
        guard: TargetGuard,
        timeout_s: float,
        tls: ssl.SSLContext | None,
        server_name: str,
    ) -> Stream:
        """Connect to an address that `guard` allows, and shake hands where `tls` is given.

        Blocks for `timeout_s` an address and a flight of the handshake. Raises TargetRefused and
        socket.gaierror too.
        """
        stream = cls(_connect(guard.addresses(host, port), port, timeout_s), timeout_s)
        try:
            if tls is not None:
                stream._shake_hands(tls, server_name)
        except OSError as error:
            stream.abort()
            raise stream.judged(error) from None
        return stream

    def send(self, data: bytes) -> int:
        """Hand `data` to the kernel, and return the position to wait for.

        Blocks for `timeout_s` where the peer takes nothing.
        """
        if self._proven_at == math.inf:
            self._proven_at = time.monotonic() + _PROBATION_S
        try:
            view = memoryview(data)
            for start in range(0, len(data), _CHUNK_BYTES):
                self._send_chunk(view[start : start + _CHUNK_BYTES])
        except OSError:
            self.check()  # what the peer said before it hung up tells more than a broken pipe
            raise
        return self._written

    def check(self) -> None:
        """Take in what the peer has sent by now; raises PeerClosed if either side closed."""
        if self._socket.fileno() < 0:  # else the number might be another connection's by now
            raise PeerClosed("closed meanwhile")
        while self._events.poll(0):
            self._receive()
            while self._tls is not None and self._read_tls():
                continue

    @property
    def is_on_probation(self) -> bool:
        """Whether the peer may yet hang up because it does not like this side's certificate."""
        return time.monotonic() < self._proven_at

    def judged(self, error: OSError) -> OSError:
        """Return what an error of this stream really says: a refusal may look like a loss."""
        is_end = isinstance(error, PeerClosed | ConnectionError)
        return HungUp() if is_end and self.is_on_probation else error

    @property
    def closed_at(self) -> float | None:
        """When the peer ended the stream (monotonic seconds), where Linux knows; else None.

        The end of a stream is a segment that acknowledges, as the last one does; a reset is not.
        """
        if not _IS_LINUX:
            return None
        try:
            info = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        except OSError:
            return None
        if info[0] != _TCP_CLOSE_WAIT:
            return None
        return time.monotonic() - float(_LAST_ACK_MS.unpack_from(info)[0]) / 1000

    def wait_acknowledged(self, position: int) -> None:
        """Wait until the peer's kernel has acknowledged every byte up to `position`.

        Raises TimeoutError where it acknowledges nothing more for `timeout_s`. Where the kernel
        does not say (anything but Linux), returns at once.
        """
        pause_s = _POLL_FIRST_S
        last, deadline = -1, time.monotonic() + self._timeout_s
        while (done := self._acknowledged()) < position:
            if done > last:
                last, deadline = done, time.monotonic() + self._timeout_s
            elif time.monotonic() > deadline:
                raise TimeoutError("not acknowledged in time")
            if self._socket.fileno() < 0:
                raise PeerClosed("closed meanwhile")
            time.sleep(pause_s)
            pause_s = min(pause_s * 2, _POLL_LAST_S)

    def close(self) -> None:
        """Say farewell, and wait a moment for the peer to have read it; never raises."""
        with suppress(OSError):
            self._socket.settimeout(_FAREWELL_S)
            if self._tls is not None:
                with suppress(ssl.SSLError):
                    self._tls.unwrap()
                self._flush()
            self._socket.shutdown(socket.SHUT_WR)
            deadline = time.monotonic() + _FAREWELL_S
            while self._socket.recv(_CHUNK_BYTES) and time.monotonic() < deadline:
                continue
        self._socket.close()

    def abort(self) -> None:
        """Close without a word; never raises."""
        self._socket.close()

    def _shake_hands(self, context: ssl.SSLContext, server_name: str) -> None:
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_name)
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                self._receive()
            except ssl.SSLError:
                with suppress(OSError):
                    self._flush()  # the alert: the server's log says why, too
                raise
            else:
                break
        self._flush()
        self._proven_at = math.inf
        self._events.poll(_FIRST_WORD_S * 1000)
        self.check()

    def _send_chunk(self, chunk: memoryview) -> None:
        if self._tls is None:
            self._socket.sendall(chunk)
            self._written += len(chunk)
            return
        while chunk:
            chunk = chunk[self._tls.write(chunk) :]
        self._flush()

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._socket.sendall(data)
            self._written += len(data)  # after: `_acknowledged` may be low, never high

    def _receive(self) -> None:
        data = self._socket.recv(_CHUNK_BYTES)
        if not data:
            if self._tls is not None:
                self._read_tls()  # an alert may have come before the end
            raise PeerClosed("the receiver closed the connection")
        if self._tls is not None:
            self._incoming.write(data)

    def _read_tls(self) -> bool:
        """Take in one record: a ticket, a key update, an alert. A syslog server says no more."""
        assert self._tls is not None  # noqa: S101  # for the type checker: callers have looked
        try:
            data = self._tls.read(_CHUNK_BYTES)
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLZeroReturnError:
            data = b""
        if not data:
            raise PeerClosed("the receiver closed the connection")
        return True

    def _acknowledged(self) -> int:
        written = self._written  # before the kernel is asked: see `_flush`
        if not _IS_LINUX:
            return written
        try:
            answer = fcntl.ioctl(self._socket, termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError) as error:  # ValueError: closed by another thread
            raise PeerClosed("closed meanwhile") from error
        return written - int.from_bytes(answer, sys.byteorder)


def _connect(addresses: list[str], port: int, timeout_s: float) -> socket.socket:
    failure: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout_s)
        except OSError as error:
            failure = error
    raise failure or OSError("no address")
