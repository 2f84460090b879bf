"""Finds e-mail and IP addresses in text, however they are spelt, and replaces them.

An address may stand inside a longer text, with a port, zone or brackets, in a mapped form, in
percent-encoding, HTML or JSON escapes, full-width digits or with invisible characters between. What
looks like an address is one: `Chrome/131.0.0.0` ends like an IPv4 address, `lodash@4.17` like a
mailbox. Better one version number too few than one address too many.

Forms: RFC 5321 and 6531 (mailboxes), RFC 4291 and 4007 (IPv6, zones). Not found: an address
written in other words ("joe at example org"), as one number, or in base64.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import unquote

__all__ = ["Replace", "normalise_email", "normalise_ip", "replace_addresses"]

# Gets the address as found, returns what stands in its place.
Replace = Callable[[str], str]

_ROUNDS = 4  # of encodings within encodings

# Every quantifier is possessive or bounded, and a token begins only where one can begin: time grows
# with the length of a text, whatever it holds.
_LOCAL = r"[^\s@<>()\[\]\\,;:\"]"
_DOMAIN = r"[^\s@<>()\[\]\\,;:\"'/?#!&=|{}]"
_EMAIL = re.compile(
    rf'(?:(?<!{_LOCAL}){_LOCAL}++|"[^"]{{1,200}}")@(?:\[[^\]\s]{{1,80}}\]|{_DOMAIN}++)'
)
_V4 = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9])"
_H16 = r"[0-9A-Fa-f]{1,4}"
_ZONE = r"(?:%(?:25)?[0-9A-Za-z_.~-]{1,32})?"
_V4_ALONE = re.compile(rf"(?<![0-9]){_V4}{_ZONE}")
_ADDRESS = re.compile(
    r"(?<![0-9])(?:"
    rf"(?:(?<![0-9A-Fa-f]){_H16}(?::{_H16}){{0,6}})?::(?:(?:{_H16}:){{0,6}}(?:{_V4}|{_H16}))?"
    rf"|(?<![0-9A-Fa-f])(?:{_H16}:){{6}}(?:{_V4}|{_H16}:{_H16})"
    rf"|{_V4}"
    rf"){_ZONE}"
)
_V4_DOTS, _V6_COLONS = 3, 6
_GROUP = re.compile(r"[0-9A-Fa-f]+")
_JSON_ESCAPE = re.compile(r"\\u([0-9A-Fa-f]{4})")
_DOTS = str.maketrans(dict.fromkeys("\u3002\uff0e\uff61", "."))  # RFC 3490, section 3.1
_WORD = re.compile(r"[^\W\d]")
_INVISIBLE = frozenset({"Cf", "Cs"})  # format characters such as U+200B; lone surrogates
_MAX_OCTET = 255
_GLUED_GROUPS = 3
_SEPARATORS = re.compile(r"[=/?&|{}!#$*^`']")


def replace_addresses(text: str, email: Replace | None, ip: Replace | None) -> str:
    """Return `text` without e-mail addresses (`email` given) and IP addresses (`ip` given).

    Where an address only shows once the text is decoded, the decoded text is what is returned.
    """
    text = _replace(text, email, ip)
    seen = text
    for _ in range(_ROUNDS):
        decoded = _decode(seen)
        if decoded == seen:
            break
        seen = _replace(decoded, email, ip)
        if seen != decoded:
            text = seen
    return text


def normalise_email(found: str) -> str:
    """Return the one spelling of a mailbox by which it is told from others."""
    local, _, domain = _folded(found).rpartition("@")
    local = _SEPARATORS.split(local)[-1] or local
    with suppress(UnicodeError):  # no host name: as it is
        domain = domain.encode("idna").decode()
    return f"{local}@{domain.rstrip('.-*_~')}"


def normalise_ip(found: str) -> str:
    """Return the one spelling of an address: no zone, port, brackets or leading zeros."""
    text = _folded(found).partition("%")[0].strip("[]")
    if ":" in text:
        try:
            address = ip_address(text)
        except ValueError:
            return text
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return str(mapped or address)
    return ".".join(part.lstrip("0") or "0" for part in text.split("."))


def _replace(text: str, email: Replace | None, ip: Replace | None) -> str:
    if email is not None and "@" in text:
        replace_email = email
        text = _EMAIL.sub(lambda match: replace_email(match[0]), text)
    if ip is None:
        return text
    # Most texts hold no address, and counting is far quicker than looking.
    if "::" in text or text.count(":") >= _V6_COLONS:
        pattern = _ADDRESS
    elif text.count(".") >= _V4_DOTS:
        pattern = _V4_ALONE
    else:
        return text
    return pattern.sub(lambda match: ip(match[0]) if _is_address(match) else match[0], text)


def _is_address(match: re.Match[str]) -> bool:
    """Tell an address from a name such as `std::deque`, where two letters look like a group."""
    text = match[0].partition("%")[0]
    if ":" not in text:
        return all(int(part) <= _MAX_OCTET for part in text.split("."))
    groups = len(_GROUP.findall(text))
    if "." in text or groups >= _GLUED_GROUPS:
        return True
    around = match.string[max(match.start() - 1, 0) : match.start()]
    around += match.string[match.end() : match.end() + 1]
    return groups > 0 and _WORD.search(around) is None


def _decode(text: str) -> str:
    """Return `text` with one layer of encodings taken off."""
    if "%" in text:
        text = unquote(text)
    if "&" in text:
        text = html.unescape(text)
    if "\\u" in text:
        text = _JSON_ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    return text if text.isascii() else _folded(text, fold_case=False)


def _folded(text: str, *, fold_case: bool = True) -> str:
    """Return `text` in the simplest characters that look the same, invisible ones left out."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text.translate(_DOTS))
        text = "".join(c for c in text if unicodedata.category(c) not in _INVISIBLE)
    return text.casefold() if fold_case else text
