"""One record: its text, judged as strictly as an event's, or the reason why it is none."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from auditbus.schemas.errors import InvalidEvent, RejectCode
from auditbus.schemas.event import MAX_EVENT_BYTES
from auditbus.schemas.validation import parse_object

__all__ = [
    "MAX_RECORD_BYTES",
    "Content",
    "Found",
    "Unread",
    "is_one_value",
    "is_syntax_fault",
    "malformed",
    "parsed",
    "parsed_event",
    "too_large",
]

# White space counts here; without it, an event has at most a quarter of that.
MAX_RECORD_BYTES = 4 * MAX_EVENT_BYTES

_FIRST_BYTES = 100

Content = dict[str, Any] | InvalidEvent
Unread = bytes
"""The text of one object, found and not parsed: that may be done elsewhere, by `parsed`."""


class Found(NamedTuple):
    """A record, or why there is none; or its text, where splitting did not need to parse it.

    `place` is `line` where records have lines of their own, `record` where they are elements of
    an array; `number` counts from 1 within the file.
    """

    place: str
    number: int
    content: Content | Unread


def parsed(raw: bytes) -> Content:
    """Return the object that `raw` holds, or why it holds none.

    White space is taken out first: what is left is most often spelt as auditbus would spell it,
    which proves at once that no key is repeated and no number changed.
    """
    try:
        # Writers are uniform: the first members tell.
        if (
            raw.find(b'": ', 0, _FIRST_BYTES) > 0
            or raw.find(b"\n", 0, _FIRST_BYTES) > 0
            or raw.endswith(b"\r")
        ):
            raw = _compact(raw)
        return parse_object(raw)
    except InvalidEvent as error:
        return error


def parsed_event(raw: bytes) -> Content:
    """Return the object that a line of our own holds, as a producer would have spelt it."""
    try:
        return parse_object(raw.rstrip())
    except InvalidEvent as error:
        return error


def is_one_value(raw: bytes) -> bool:
    """Tell, in a sixth of the time of parsing it, that `raw` is one JSON value from end to end.

    Its brackets pair and its strings end, so no other value begins in it. What it does not tell,
    such as UTF-8 and repeated keys, costs no more than this value: `parsed` says it.
    """
    if len(raw) > MAX_RECORD_BYTES:
        return False
    try:
        _skim(raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


_skim = msgspec.json.Decoder(msgspec.Raw).decode


def is_syntax_fault(content: Content) -> bool:
    """Tell whether the text was not one JSON value: it may have been cut at the wrong place."""
    return isinstance(content, InvalidEvent) and content.code in _UNPROVEN


def malformed(reason: str) -> InvalidEvent:
    """Return why no record could be read."""
    return InvalidEvent(RejectCode.MALFORMED_JSON, None, reason)


def too_large(size_bytes: int) -> InvalidEvent:
    """Return why a record of that size is refused."""
    reason = f"{size_bytes:,} bytes; the limit is {MAX_EVENT_BYTES:,}"
    return InvalidEvent(RejectCode.TOO_LARGE, None, reason)


# These are told before the whole text has been parsed.
_UNPROVEN = frozenset(
    {
        RejectCode.EMPTY,
        RejectCode.MALFORMED_JSON,
        RejectCode.NOT_UTF8,
        RejectCode.TOO_DEEP,
        RejectCode.TOO_LARGE,
    }
)


def _compact(raw: bytes) -> bytes:
    try:
        return msgspec.json.format(raw, indent=-1)
    except (msgspec.MsgspecError, RecursionError):
        return raw  # parse_object says what is wrong, and where
