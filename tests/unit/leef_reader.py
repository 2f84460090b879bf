"""A strict reader of LEEF 2.0, from IBM's pages "LEEF event components" and "Predefined LEEF event
attributes", written apart from the encoder. The one parser in a registry (tenzir's `read_leef`)
weighs more than a gigabyte.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["LeefRecord", "read_leef"]

_KEY = re.compile(r"[A-Za-z0-9]+")
_LIMITS = {"usrName": 255, "accountName": 255}
_PREDEFINED = {
    *("cat", "devTime", "devTimeFormat", "proto", "sev", "src", "dst", "srcPort", "dstPort"),
    *("usrName", "accountName", "role", "realm", "policy", "resource", "url", "groupID", "domain"),
    *("isLoginEvent", "isLogoutEvent", "identSrc", "vSrc", "vSrcName"),
}


@dataclass(frozen=True)
class LeefRecord:
    vendor: str
    product: str
    version: str
    event_id: str
    attributes: dict[str, str]


def read_leef(line: str) -> LeefRecord:
    """Read one event; raises ValueError for whatever is not as IBM has it."""
    if len(line.splitlines()) != 1:
        raise ValueError("an event is one line")
    header = line.split("|", 6)
    if len(header) != 7 or header[0] != "LEEF:2.0":
        raise ValueError("not a LEEF 2.0 header of six fields")
    _, vendor, product, version, event_id, delimiter, rest = header
    if not all((vendor, product, version, event_id)) or len(event_id) > 255:
        raise ValueError("a header field is empty or too long")
    attributes: dict[str, str] = {}
    for attribute in rest.split(_delimiter(delimiter)):
        key, equals, value = attribute.partition("=")
        if not equals or not _KEY.fullmatch(key):
            raise ValueError(f"no key: {attribute!r}")
        if key in attributes:
            raise ValueError(f"{key} twice")
        if any(ord(char) < 32 or ord(char) == 127 for char in value):
            raise ValueError(f"{key}: a control character")
        if len(value) > _LIMITS.get(key, len(value)):
            raise ValueError(f"{key}: too long")
        attributes[key] = value
    _check(attributes)
    return LeefRecord(vendor, product, version, event_id, attributes)


def _delimiter(text: str) -> str:
    """A single character, or x or 0x and one to four hexadecimal digits."""
    if len(text) == 1:
        return text
    match = re.fullmatch(r"(?:0x|x)([0-9A-Fa-f]{1,4})", text)
    if match is None:
        raise ValueError(f"no delimiter: {text!r}")
    return chr(int(match[1], 16))


def _check(attributes: dict[str, str]) -> None:
    if not 1 <= int(attributes.get("sev", 1)) <= 10:
        raise ValueError("sev is 1 to 10")
    if "devTimeFormat" not in attributes and not re.fullmatch(
        r"\d{10}|\d{13}", attributes["devTime"]
    ):
        raise ValueError("devTime without devTimeFormat is an epoch of 10 or 13 digits")
    for name in _PREDEFINED & attributes.keys():
        if not attributes[name]:
            raise ValueError(f"{name} is empty")
