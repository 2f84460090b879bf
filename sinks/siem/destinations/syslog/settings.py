"""What a syslog destination may be told, and which combinations make no sense."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from auditbus.sinks.siem.destination import DestinationSettings
from auditbus.sinks.siem.target_guard import is_public

__all__ = ["SyslogSettings", "tls_context"]

_UDP_PAYLOAD = 65_507  # 65,535 less the headers of IPv4 and UDP (RFC 5426, section 3.2)
_TLS_ONLY = (
    "ca_file",
    "client_certificate_file",
    "client_key_file",
    "client_key_password",
    "server_name",
)


class SyslogSettings(DestinationSettings):
    """A syslog server: rsyslog, syslog-ng or a SIEM's own receiver."""

    host: str
    """Name or address of the server."""
    port: int | None = Field(None, ge=1, le=65_535)
    """Default: 6514 for tls, 514 for tcp and udp."""
    transport: Literal["tls", "tcp", "udp"] = "tls"
    """How messages travel. tcp is readable by anyone on the way; udp loses messages unnoticed."""
    framing: Literal["octet-counting", "newline"] = "octet-counting"
    """How tcp and tls tell messages apart; newline is for receivers that know nothing else."""
    ca_file: Path | None = None
    """Certificate authorities to trust instead of the system's."""
    client_certificate_file: Path | None = None
    """This forwarder's certificate chain (PEM), for a server that asks for one."""
    client_key_file: Path | None = None
    """The certificate's key (PEM)."""
    client_key_password: SecretStr | None = None
    """Password of the key, if it has one."""
    server_name: str | None = None
    """Name that the server's certificate must be for, where that is not `host`."""
    verify_server_name: bool = True
    """Refuse a certificate that is for another name."""
    hostname: str | None = Field(None, pattern=r"^[!-~]{1,255}$")
    """HOSTNAME of the messages; default: this machine's name."""
    app_name: str = Field("auditbus", pattern=r"^[!-~]{1,48}$")
    """APP-NAME of the messages."""
    enterprise_number: int = Field(32_473, ge=1, le=4_294_967_295)
    """Your organization's number in the structured data's name; 32473 is RFC 5612's example."""
    bom: Literal["auto", "always", "never"] = "auto"
    """A byte order mark before the event: auto, as RFC 5424 says for text, never before JSON."""
    max_message_bytes: int = Field(8_192, ge=480, le=16 * 1024 * 1024)
    """Most bytes of a message, header and all; receivers cut or drop what is over theirs."""
    tail_bytes: int = Field(8 * 1024 * 1024, ge=0, le=256 * 1024 * 1024)
    """Bytes sent lately that are sent again when the connection ends; 0: none."""
    allow_private_targets: bool = True
    """Allow private, loopback and link-local addresses: where most syslog servers are."""

    @property
    def target_port(self) -> int:
        """The port, given or implied."""
        return self.port or (6514 if self.transport == "tls" else 514)

    @field_validator("host", "server_name")
    @classmethod
    def _check_name(cls, name: str | None) -> str | None:
        if name is not None and (not name.isprintable() or not name.strip() or " " in name):
            raise PydanticCustomError("name", "must be a host name or an address")
        return name

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        """Refuse what would be ignored: it was meant to protect something."""
        given = [name for name in _TLS_ONLY if getattr(self, name) is not None]
        if self.transport != "tls" and given:
            raise PydanticCustomError(
                "transport",
                '{name}: only for transport = "tls"',
                {"name": given[0]},
            )
        if self.transport == "udp" and self.framing == "newline":
            raise PydanticCustomError("framing", "framing: udp has none, one message a datagram")
        if self.transport == "udp" and self.max_message_bytes > _UDP_PAYLOAD:
            raise PydanticCustomError(
                "max_message_bytes", "max_message_bytes: udp carries at most 65507"
            )
        if self.client_key_file is not None and self.client_certificate_file is None:
            raise PydanticCustomError(
                "client_certificate_file",
                "client_certificate_file: missing, client_key_file needs it",
            )
        if not self.allow_private_targets and _is_private_literal(self.host):
            raise PydanticCustomError(
                "host", "host: a private address needs allow_private_targets = true"
            )
        return self

    @model_validator(mode="after")
    def _check_certificates(self) -> Self:
        if self.transport == "tls":
            try:
                tls_context(self)
            except (OSError, ValueError) as error:
                raise PydanticCustomError(
                    "certificates",
                    "ca_file, client_certificate_file, client_key_file: cannot be read as PEM that "
                    "fits together",
                ) from error
        return self


def tls_context(settings: SyslogSettings) -> ssl.SSLContext:
    """Build what a connection needs, reading the files, so that renewed ones are taken up.

    Raises OSError (ssl.SSLError is one) where a file is missing or wrong.
    """
    context = ssl.create_default_context(cafile=settings.ca_file)
    context.check_hostname = settings.verify_server_name
    if settings.client_certificate_file is not None:
        password = settings.client_key_password
        # A callable: without one, OpenSSL would ask on the terminal.
        context.load_cert_chain(
            settings.client_certificate_file,
            settings.client_key_file,
            lambda: password.get_secret_value() if password else "",
        )
    return context


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name: judged by its addresses at every connect
