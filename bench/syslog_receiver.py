"""A syslog receiver over TLS in a process of its own: reads, counts bytes, keeps nothing."""

import socket
import ssl
import sys


def main(certificate: str, key: str, ca: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    buffer = bytearray(256 * 1024)
    while True:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as connection:
            while connection.recv_into(buffer):
                continue


if __name__ == "__main__":
    main(*sys.argv[1:])
