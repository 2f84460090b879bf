"""Which addresses a destination may have: none inside the house, unless the operator says so.

A URL is often chosen by someone who may configure a webhook but must not reach what this machine
can reach: the cloud's metadata service, a database on loopback (server-side request forgery).
The name is looked up here, its addresses judged, and the connection made to a judged address, so a
second answer of the name server cannot lead elsewhere (DNS rebinding).
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from auditbus.schemas.errors import AuditbusError

__all__ = ["TargetGuard", "TargetRefused", "is_public"]

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


class TargetRefused(AuditbusError):
    """A destination's name leads to no address that is allowed."""


@dataclass(frozen=True, slots=True)
class TargetGuard:
    """Looks names up. `allow_private` lets any address through."""

    allow_private: bool

    def addresses(self, host: str, port: int) -> list[str]:
        """Return the allowed addresses of `host`, in the resolver's order; blocks for the lookup.

        Raises TargetRefused when it has none that is allowed, socket.gaierror when it has none.
        """
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))
        allowed = [text for text in addresses if self.allow_private or is_public(text)]
        if not allowed:
            raise TargetRefused(
                f"{host} leads to a private, loopback, link-local or reserved address; "
                "set allow_private_targets = true if that is meant"
            )
        return allowed


def is_public(address: str) -> bool:
    """Whether an address is on the public internet, also when IPv6 only wraps an IPv4 one."""
    ip = _unwrap(ip_address(address))
    return ip.is_global and not ip.is_multicast


def _unwrap(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    if isinstance(ip, IPv4Address):
        return ip
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or ip
