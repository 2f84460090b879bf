"""Which address a request really came from, where proxies stand in between.

A header can be sent by anyone; only what a proxy of one's own has appended is true. So the chain is
walked from its right end, from the peer towards the client, as long as the address at hand is a
trusted proxy. Formats: X-Forwarded-For (a list of addresses), Forwarded (RFC 7239).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

__all__ = ["TrustedProxies", "address_in", "forwarded_chain", "x_forwarded_chain"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_HOPS = 16
_MAX_ELEMENT = 256
_MAX_HOP = 64
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = rf'{_WORD}=(?:{_WORD}|"(?:[^"\\]|\\.)*")'
_ELEMENT = re.compile(rf"[ \t]*(?:{_PAIR})?(?:[ \t]*;[ \t]*(?:{_PAIR})?)*[ \t]*")
_FOR = re.compile(rf'(?:^|;)[ \t]*for=(?:({_WORD})|"((?:[^"\\]|\\.)*)")', re.IGNORECASE)
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\w+)?|([0-9.]+):\w+")


class TrustedProxies:
    """The networks whose word on the address before them is believed. Default: nobody's."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """`networks` are addresses and CIDRs; `unix` trusts a peer on a Unix socket.

        Raises ValueError, naming the network.
        """
        if isinstance(networks, str):
            raise ValueError(  # noqa: TRY004 -- one kind of error for wrong settings
                "trusted proxies: a list of networks, not one text"
            )
        names = tuple(networks)
        self._unix = "unix" in names
        self._networks: list[Network] = []
        for name in names:
            if name != "unix":
                try:
                    self._networks.append(ip_network(name))
                except ValueError as error:
                    raise ValueError(f"trusted proxies: {error}") from None

    def client(self, peer: str | None, chain: Iterable[str]) -> str | None:
        """Return the address nearest to the client that a trusted proxy vouches for.

        `chain` is in the order of the header: the last is what the last proxy has added. An
        element that is no address (`unknown`, obfuscated) ends the walk before it.
        """
        address = address_in(peer or "")
        if address is None and not (self._unix and not peer):
            return peer or None
        for hop in reversed([*chain]):
            if address is not None and not self._trusts(address):
                break
            if (before := address_in(hop)) is None:
                break
            address = before
        return None if address is None else str(address)

    def _trusts(self, address: Address) -> bool:
        return any(
            address.version == network.version and address in network for network in self._networks
        )


def x_forwarded_chain(header: str) -> list[str]:
    """Return the hops of X-Forwarded-For, at most the last 16, each at most 64 characters."""
    hops = (hop.strip() for hop in header.rsplit(",", 2 * _MAX_HOPS)[-2 * _MAX_HOPS :])
    return [hop[:_MAX_HOP] for hop in hops if hop][-_MAX_HOPS:]


def forwarded_chain(header: str) -> list[str]:
    """Return the `for` of each element of Forwarded, likewise; `unknown` where one has none.

    Read from the right, the shortest element first: what a client leaves open on the left (a quote
    that never ends) can't swallow what a proxy has added. Ends at what is malformed.
    """
    hops: list[str] = []
    end = len(header)
    while end >= 0 and len(hops) < _MAX_HOPS:
        start = _last_element(header, end)
        if start is None:
            break
        if element := header[start:end].strip(" \t"):
            found = _FOR.search(element)
            name = "unknown" if found is None else found[1] or re.sub(r"\\(.)", r"\1", found[2])
            hops.append(name[:_MAX_HOP])
        end = start - 1
    return hops[::-1]


def _last_element(header: str, end: int) -> int | None:
    """Return where the last well-formed element before `end` begins."""
    at = end
    while at > 0 and end - at <= _MAX_ELEMENT:
        comma = header.rfind(",", max(0, end - _MAX_ELEMENT), at)
        start = comma + 1
        if comma < 0 and end > _MAX_ELEMENT:
            return None
        if _ELEMENT.fullmatch(header, start, end):
            return start
        if comma < 0:
            return None
        at = comma
    return 0 if at == end == 0 else None


def address_in(text: str) -> Address | None:
    """Return the address in `text`: with or without brackets, port and zone; None where none is.

    An IPv4 address mapped into IPv6 (RFC 4291, section 2.5.5.2) is returned as IPv4.
    """
    text = text.strip()
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2] or ""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
