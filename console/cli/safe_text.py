"""Text from events, made safe to show: events are written by others, some of them hostile."""

from __future__ import annotations

import re

__all__ = ["one_line_json", "printable", "terminal_json"]

# Joiners are invisible, but scripts and emoji need them.
_INVISIBLE_BUT_FINE = "\u200c\u200d"
_UNPRINTABLE_IN_JSON = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Return `text` with what would steer a terminal spelt out: ESC becomes `\x1b`.

    That covers control characters, line breaks, and marks that turn the direction of writing.
    """
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in _INVISIBLE_BUT_FINE
        else " "
        if character.isspace()
        and ord(character) > 0x7F  # noqa: PLR2004  # such as U+00A0
        and character not in "\x85\u2028\u2029"
        else character.encode("unicode_escape").decode()
        for character in text
    )


def one_line_json(event: bytes) -> bytes:
    """Return the event as it was sent, on one line.

    A line break stands only between JSON tokens, never raw within a string: a space says the same.
    """
    if b"\n" in event or b"\r" in event:
        return event.replace(b"\r", b" ").replace(b"\n", b" ")
    return event


def terminal_json(line: bytes) -> bytes:
    r"""Return the same JSON with what would steer a terminal as `\u` escapes.

    JSON itself forbids raw C0 controls, not DEL and C1, and U+009B begins a terminal's commands.
    """
    text = line.decode(errors="replace")
    return _UNPRINTABLE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
