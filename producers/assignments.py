r"""Secrets that a name stands before, inside a text: `?token=…`, `password: …`, `{"pin": …}`.

Three ways of writing are known, and the name is judged as a key of the event would be:
`name=value` (query strings, forms, connection strings), `"name": value` (JSON in a text, escaped or
not) and `Name: value` (headers, to the end of the line; settings and logs, one word).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

__all__ = ["replace_assigned"]

_SIGN = re.compile(r"[=:]")
_SEPARATOR = re.compile(r"(?P<quote>[\\\"'\]]{0,4})[ \t]{0,4}(?P<sign>=>|={1,2}|:)\s{0,4}")
_BEFORE_SIGN = 8  # as many characters as the separator has there
_NAME_CHARACTERS = 64
_NAME_BACKWARDS = re.compile(r"[A-Za-z0-9_.%\[-]+")
_SCHEME = re.compile(r"(?:bearer|basic|token|digest|apikey)\s{1,4}", re.IGNORECASE)
_QUOTED = re.compile(r"(?P<mark>\\{0,3}[\"'])")
_TO_DELIMITER = re.compile(r"[^\s&;,\"'<>\\]+")
_JSON_BARE = re.compile(r"[^\s\"',}\]\\]+")
_WORD = re.compile(r"[^\s\"'<>]+")
_LINE = re.compile(r"[^\r\n]+")
_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_JSON_WORDS = frozenset({"null", "true", "false"})


def replace_assigned(text: str, is_secret_name: Callable[[str], bool], mark: str) -> str:
    """Return `text` with `mark` for each value whose name `is_secret_name`."""
    parts: list[str] = []
    done = 0
    for separator in _separators(text):
        if separator.start() < done:
            continue
        before = text[max(done, separator.start() - _NAME_CHARACTERS) : separator.start()]
        backwards = _NAME_BACKWARDS.match(before[::-1])
        if backwards is None or not is_secret_name(name := backwards.group()[::-1]):
            continue
        span = _value(text, separator, name, before[: -len(name)])
        if span is None or text.startswith(mark, span[0]):
            continue
        parts += text[done : span[0]], mark
        done = span[1]
    return "".join([*parts, text[done:]]) if parts else text


def _separators(text: str) -> Iterator[re.Match[str]]:
    """Yield the matches of the separator, found by their signs: a text has few."""
    end = 0
    while (sign := _SIGN.search(text, end)) is not None:
        at = sign.start()
        # The regex looks at each character before it finds a sign; from here it need not.
        start = max(end, at - _BEFORE_SIGN)
        found = _SEPARATOR.search(text, start)
        if found is None:
            return
        yield found
        end = found.end()


def _value(text: str, separator: re.Match[str], name: str, before: str) -> tuple[int, int] | None:
    """Return where the secret begins and ends; None where this is no assignment."""
    start = separator.end()
    is_colon = separator["sign"] == ":"
    if is_colon and not _is_assignment(text, separator, name):
        return None
    if scheme := _SCHEME.match(text, start):
        start = scheme.end()
    if quoted := _QUOTED.match(text, start):
        opened = quoted.end()
        closed = text.find(quoted["mark"], opened)
        if closed == opened:
            return None
        return opened, closed if closed > 0 else len(text)
    if not is_colon:
        value = _TO_DELIMITER.match(text, start)
    elif separator["quote"]:
        value = _JSON_BARE.match(text, start)
        value = None if value is None or value.group() in _JSON_WORDS else value
    elif name.lower() in _HEADERS:
        value = _LINE.match(text, start)
    elif "-" in name:
        value = _WORD.match(text, start)
    else:
        return _after_colon(text, start, before)
    return value.span() if value else None


def _is_assignment(text: str, separator: re.Match[str], name: str) -> bool:
    """Tell whether a colon stands as one writes it between a name and a value.

    The screen looks for the same (`_COLON` in `screening.py`): a quote is escaped in JSON.
    """
    return (
        separator.group()[-1].isspace()
        or text.startswith('"', separator.end())
        or '"' in separator["quote"]
        or (not separator["quote"] and name.endswith(("rd", "wd")))
    )


def _after_colon(text: str, start: int, before: str) -> tuple[int, int] | None:
    """Tell `password: hunter2` from prose: "wrong password: try again", `arn:…:secret:name`."""
    word = _WORD.match(text, start)
    if word is None or before.endswith((":", "/")) or word.group().startswith("//"):
        return None
    value = word.group().rstrip(".,;:!?)")
    return None if value.isalpha() or not value else (start, start + len(value))
