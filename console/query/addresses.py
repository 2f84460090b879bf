"""Addresses and networks as ClickHouse compares them: IPv6, with IPv4 as ::ffff:a.b.c.d."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

__all__ = ["AddressRange", "parse_addresses"]

_MAPPED = 0xFFFF << 32


@dataclass(frozen=True, slots=True)
class AddressRange:
    """Every address from `first` to `last`, both included, as IPv6 text."""

    first: str
    last: str


def parse_addresses(text: str) -> AddressRange:
    """Return the range of one address or CIDR network, IPv4 or IPv6; host bits may be set.

    Raises ValueError when it is neither.
    """
    try:
        network = ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(
            "not an address or network: use 81.2.69.142, 81.2.69.0/24 or 2001:db8::/32"
        ) from None
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.version == 4:  # noqa: PLR2004
        first, last = first | _MAPPED, last | _MAPPED
    # `::` stands for an event without an address, which lies in no network.
    return AddressRange(str(ipaddress.IPv6Address(max(first, 1))), str(ipaddress.IPv6Address(last)))
