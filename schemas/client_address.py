"""The address behind the text that services send as a client's IP.

Proxies and frameworks write addresses in many coats: with a port, in brackets, with a zone, in
quotes, as an IPv4 address mapped into IPv6. `ipaddress` judges what is left: maxminddb itself
takes "8.8.8" for an address and answers for 8.8.0.8.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

__all__ = ["MAX_ADDRESS_CHARS", "parse_client_address"]

# The longest honest form: a bracketed IPv6 address with an embedded IPv4 part, a zone and a port.
MAX_ADDRESS_CHARS = 100


def parse_client_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return the address in ``text``, unwrapped if IPv4-mapped; None if there is none."""
    if len(text) > MAX_ADDRESS_CHARS:
        return None
    try:
        address = ip_address(_bare(text.strip().strip('"')))
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _bare(text: str) -> str:
    """Return ``text`` without brackets, port and zone."""
    if text.startswith("["):  # RFC 3986 section 3.2.2: [2001:db8::1]:443
        host, closing, port = text[1:].partition("]")
        text = host if closing and (not port or _is_port(port)) else ""
    elif text.count(":") == 1:  # more than one colon is IPv6, which carries a port in brackets only
        host, _, port = text.partition(":")
        text = host if _is_port(":" + port) else ""
    return text.partition("%")[0]  # RFC 4007 section 11: fe80::1%eth0


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()
