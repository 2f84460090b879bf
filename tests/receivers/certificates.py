"""A certificate authority of a test's own, with a server's certificate and a client's."""

import ssl
from pathlib import Path

import trustme

CLIENT = "forwarder.example.com"


class Certificates:
    """PEM files in a directory, named as docs/security-teams.md names them."""

    def __init__(self, directory: Path, *, client: str = CLIENT) -> None:
        authority = trustme.CA()
        self.ca = directory / "ca.pem"
        authority.cert_pem.write_to_path(str(self.ca))
        self.server, self.server_key = directory / "server.pem", directory / "server.key"
        made = authority.issue_cert("localhost", "127.0.0.1", common_name="syslog.example.com")
        _write(made, self.server, self.server_key)
        self.client, self.client_key = directory / "forwarder.pem", directory / "forwarder.key"
        self._authority = authority
        self.reissue_client(client)

    def reissue_client(self, name: str = CLIENT, *, by: "Certificates | None" = None) -> None:
        """Write the client's files anew, for another name or by another authority."""
        authority = (by or self)._authority
        _write(authority.issue_cert(name, common_name=name), self.client, self.client_key)

    def server_context(self, *, demand_client: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        context.load_cert_chain(self.server, self.server_key)
        if demand_client:
            context.verify_mode = ssl.CERT_REQUIRED
        return context


def _write(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    leaf.private_key_pem.write_to_path(str(key))
