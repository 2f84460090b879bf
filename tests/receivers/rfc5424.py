"""A strict reader of RFC 5424 messages and of both framings, written from the grammar alone.

It knows nothing of the code that writes them, and refuses whatever the grammar does not allow.
"""

import re
from dataclasses import dataclass
from datetime import datetime

_HEADER = re.compile(
    rb"<(?P<pri>0|[1-9][0-9]{0,2})>1"
    rb" (?P<timestamp>-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}"
    rb"(?:\.[0-9]{1,6})?(?:Z|[+-][0-9]{2}:[0-9]{2}))"
    rb" (?P<host>[!-~]{1,255}) (?P<app>[!-~]{1,48}) (?P<procid>[!-~]{1,128})"
    rb" (?P<msgid>[!-~]{1,32}) "
)
_NAME = re.compile(rb"[!#-<>-\\^-~]{1,32}")  # printable but for = SP ] "
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Message:
    pri: int
    timestamp: str
    host: str
    app: str
    procid: str
    msgid: str
    data: dict[str, dict[str, str]]
    has_bom: bool
    msg: bytes


class Malformed(ValueError):
    """Not what the grammar allows."""


def read_message(text: bytes) -> Message:
    """Read one message, all of it."""
    header = _HEADER.match(text)
    if header is None:
        raise Malformed(f"header: {text[:80]!r}")
    part = {name: value.decode("ascii") for name, value in header.groupdict().items()}
    if int(part["pri"]) > 191:
        raise Malformed("PRI")
    if part["timestamp"] != "-":
        datetime.fromisoformat(part["timestamp"])  # raises ValueError for 31 February
    data, rest = _structured_data(text[header.end() :])
    if rest and not rest.startswith(b" "):
        raise Malformed("structured data is not followed by a space")
    msg = rest[1:]
    has_bom = msg.startswith(_BOM)
    if has_bom:
        msg = msg.removeprefix(_BOM)
        msg.decode()
    return Message(
        pri=int(part.pop("pri")),
        data=data,
        has_bom=has_bom,
        msg=msg,
        **part,  # type: ignore[arg-type]
    )


def read_octet_counted(stream: bytes) -> list[bytes]:
    """Split RFC 5425 / RFC 6587, 3.4.1: MSG-LEN SP SYSLOG-MSG, nothing in between."""
    frames = []
    while stream:
        digits, space, rest = stream.partition(b" ")
        if not space or not re.fullmatch(rb"[1-9][0-9]*", digits):
            raise Malformed(f"MSG-LEN: {digits[:20]!r}")
        length = int(digits)
        if len(rest) < length:
            raise Malformed("the stream ends within a message")
        frames.append(rest[:length])
        stream = rest[length:]
    return frames


def read_lines(stream: bytes) -> list[bytes]:
    """Split RFC 6587, 3.4.2 with a line feed as the trailer."""
    if not stream:
        return []
    *lines, after = stream.split(b"\n")
    if after:
        raise Malformed("no trailer after the last message")
    return lines


def _structured_data(text: bytes) -> tuple[dict[str, dict[str, str]], bytes]:
    if text[:1] == b"-":
        return {}, text[1:]
    elements: dict[str, dict[str, str]] = {}
    while text[:1] == b"[":
        name, text = _name(text[1:])
        if name in elements:
            raise Malformed(f"SD-ID {name} repeated")
        elements[name] = {}
        while text[:1] == b" ":
            param, text = _name(text[1:])
            if text[:2] != b'="':
                raise Malformed(f"parameter {param}")
            elements[name][param], text = _value(text[2:])
        if text[:1] != b"]":
            raise Malformed(f"element {name} does not end")
        text = text[1:]
    if not elements:
        raise Malformed("no structured data")
    return elements, text


def _name(text: bytes) -> tuple[str, bytes]:
    found = _NAME.match(text)
    if found is None:
        raise Malformed(f"SD-NAME: {text[:20]!r}")
    return found[0].decode("ascii"), text[found.end() :]


def _value(text: bytes) -> tuple[str, bytes]:
    value = bytearray()
    position = 0
    while position < len(text):
        byte = text[position : position + 1]
        following = text[position + 1 : position + 2]
        if byte == b"\\" and following and following in b'"\\]':
            value += following
            position += 2
        elif byte == b'"':
            return value.decode(), text[position + 1 :]
        elif byte == b"]":
            raise Malformed("] without an escape in a value")
        else:
            value += byte
            position += 1
    raise Malformed("a value does not end")
