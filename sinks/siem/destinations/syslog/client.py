"""Batches of messages to one syslog server, and what its errors mean.

One connection for all threads: the order of an account is that of a connection. Writes take turns;
waiting for acknowledgements does not, so several batches are on their way at a time.
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Sequence

from auditbus.runtime.logging import get_logger
from auditbus.sinks.siem.destination import Parcel
from auditbus.sinks.siem.destinations.syslog.settings import SyslogSettings, tls_context
from auditbus.sinks.siem.destinations.syslog.stream import HungUp, PeerClosed, Stream
from auditbus.sinks.siem.destinations.syslog.tail import Tail
from auditbus.sinks.siem.outcomes import Blocked, Delivered, Failed, Outcome
from auditbus.sinks.siem.target_guard import TargetGuard, TargetRefused

__all__ = ["SyslogClient"]

_log = get_logger(__name__)
_TAIL_S = 5.0
_LOOK_S = 0.05
# OpenSSL's names of the alerts by which a server refuses this side's certificate, or the lack of
# one: handshake_failure is what TLS 1.2 has for the latter.
_REFUSALS = frozenset(
    {
        "SSLV3_ALERT_BAD_CERTIFICATE",
        "SSLV3_ALERT_CERTIFICATE_EXPIRED",
        "SSLV3_ALERT_CERTIFICATE_REVOKED",
        "SSLV3_ALERT_CERTIFICATE_UNKNOWN",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "SSLV3_ALERT_NO_CERTIFICATE",
        "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
        "TLSV1_ALERT_ACCESS_DENIED",
        "TLSV1_ALERT_DECRYPT_ERROR",
        "TLSV1_ALERT_UNKNOWN_CA",
    }
)
# In this order: some are kinds of a later one.
_FAILURES: tuple[tuple[type[OSError], str, str], ...] = (
    (ssl.SSLError, "tls", "TLS failed: is that a TLS port, and did the server stay?"),
    (socket.gaierror, "name_resolution", "the host name cannot be looked up"),
    (PeerClosed, "closed", "the receiver closed the connection"),
    (TimeoutError, "timeout", "no answer in time"),
    (ConnectionRefusedError, "refused", "nobody listens there"),
)


class SyslogClient:
    """Sends by the transport that the settings name; see the package for what is promised."""

    def __init__(self, settings: SyslogSettings) -> None:
        """Prepare; connects at the first batch."""
        guard = TargetGuard(settings.allow_private_targets)
        self._sends: _Streaming | _Datagrams = (
            _Datagrams(settings, guard)
            if settings.transport == "udp"
            else _Streaming(settings, guard)
        )

    def deliver(self, parcel: Parcel) -> Outcome:
        """Send the messages of `parcel`, in order."""
        return self._attempt(parcel.events)

    def probe(self) -> Outcome:
        """Connect, and shake hands where that is part of it; sends no message."""
        return self._attempt(())

    def close(self) -> None:
        """Close the connection in good order; waits half a second for the receiver, twice."""
        self._sends.close()

    def _attempt(self, messages: Sequence[bytes]) -> Outcome:
        try:
            self._sends.send(messages)
        except (OSError, TargetRefused) as error:
            return _explain(error)
        return Delivered()


class _Streaming:
    """Over TCP or TLS."""

    def __init__(self, settings: SyslogSettings, guard: TargetGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        self._seen_open_at = 0.0
        self._tail = Tail(settings.tail_bytes, _TAIL_S)

    def send(self, messages: Sequence[bytes]) -> None:
        """Return once the peer's kernel has all of `messages`, the connection still open."""
        data = _framed(messages, self._settings.framing)
        stream: Stream | None = None
        try:
            with self._lock:
                stream = self._open_stream()
                if data:
                    self._tail.add(data, time.monotonic())
                position = stream.send(data)
            stream.wait_acknowledged(position)
            while stream.is_on_probation:
                time.sleep(_LOOK_S)
                with self._lock:
                    stream.check()
            with self._lock:
                stream.check()
        except OSError as error:
            with self._lock:
                self._tail.forget(data)  # the caller will send it again
                self._abandon(stream)
            raise stream.judged(error) if stream else error from None

    def close(self) -> None:
        with self._lock:
            if self._stream is not None:
                self._stream.close()
                self._stream = None

    def _open_stream(self) -> Stream:
        """Return the connection if it is open still, else a new one that has got the tail."""
        if self._stream is not None:
            now = time.monotonic()
            try:
                self._stream.check()
            except OSError:
                self._tail.prune(self._stream.closed_at or self._seen_open_at)
                self._abandon(self._stream)
            else:
                self._seen_open_at = now
                self._tail.prune(now)
                return self._stream
        stream = self._connect()
        self._seen_open_at = time.monotonic()
        try:
            for data in self._tail:
                stream.send(data)
        except OSError as error:
            stream.abort()
            raise stream.judged(error) from error
        if len(self._tail):
            self._tail.renew(time.monotonic())
            _log.info("syslog_sent_again", host=self._settings.host, size_bytes=len(self._tail))
        self._stream = stream
        return stream

    def _connect(self) -> Stream:
        settings = self._settings
        return Stream.connect(
            settings.host,
            settings.target_port,
            guard=self._guard,
            timeout_s=settings.timeout_s,
            tls=_read_certificates(settings) if settings.transport == "tls" else None,
            server_name=settings.server_name or settings.host,
        )

    def _abandon(self, stream: Stream | None) -> None:
        if stream is not None:
            stream.abort()
            if self._stream is stream:
                self._stream = None


class _Datagrams:
    """Over UDP: one message a datagram, each sent and forgotten (RFC 5426)."""

    def __init__(self, settings: SyslogSettings, guard: TargetGuard) -> None:
        self._settings = settings
        self._guard = guard
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def send(self, messages: Sequence[bytes]) -> None:
        """Hand each message to the kernel; that the port is closed shows at a later one."""
        with self._lock:
            try:
                self._socket = self._socket or self._connect()
                for message in messages:
                    self._socket.send(message)
            except OSError:
                self._drop()
                raise

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _connect(self) -> socket.socket:
        settings = self._settings
        address = self._guard.addresses(settings.host, settings.target_port)[0]
        found = socket.getaddrinfo(
            address, settings.target_port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        family, kind, protocol, _, target = found[0]
        made = socket.socket(family, kind, protocol)
        made.settimeout(settings.timeout_s)
        made.connect(target)
        return made

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class _CertificateFiles(OSError):
    """The files of this side's certificate cannot be read any more."""


def _read_certificates(settings: SyslogSettings) -> ssl.SSLContext:
    try:
        return tls_context(settings)
    except (OSError, ValueError) as error:
        raise _CertificateFiles(
            "ca_file, client_certificate_file or client_key_file cannot be read"
        ) from error


def _framed(messages: Sequence[bytes], framing: str) -> bytes:
    """Join messages: by octet counting (RFC 5425, 4.3; RFC 6587, 3.4.1) or, 3.4.2, by line feed."""
    if framing == "newline":
        return b"".join([b"%b\n" % message for message in messages])
    parts: list[bytes] = []
    for message in messages:
        parts += (b"%d " % len(message), message)
    return b"".join(parts)


def _explain(error: OSError | TargetRefused) -> Failed | Blocked:
    """Say what it means that a batch did not go out."""
    match error:
        case TargetRefused():
            return Blocked("target_refused", str(error))
        case _CertificateFiles():
            return Blocked("certificate_files", str(error))
        case ssl.SSLCertVerificationError():
            return Blocked("certificate", f"certificate refused: {error.verify_message}")
        case ssl.SSLError() if error.reason in _REFUSALS:
            return Blocked("client_certificate", f"the server refuses ours: {error.reason}")
        case HungUp():
            return Blocked(
                "client_certificate", "the server hung up after the handshake: does it permit ours?"
            )
        case _:
            return _failed(error)


def _failed(error: OSError) -> Failed:
    for kind, code, reason in _FAILURES:
        if isinstance(error, kind):
            return Failed(code, reason)
    return Failed("connection", f"connection lost: {error.strerror or 'unknown'}")
